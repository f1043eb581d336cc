// What /proc says of a process and its threads.
#pragma once

#include <sys/types.h>

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace calltap::inject {

struct Mapping {
  std::uint64_t begin = 0;
  std::uint64_t end = 0;
  std::uint64_t offset = 0;
  bool readable = false;
  bool writable = false;
  bool executable = false;
  std::string path;
};

/// In address order; empty if there is no such process or it has no memory.
std::vector<Mapping> mappings_of(pid_t pid);

/// The mapping that holds `address`, or null.
const Mapping* find_mapping(const std::vector<Mapping>& mappings, std::uint64_t address);

/// The fields of /proc/PID/status, or of a thread's; empty if there is no such process.
using StatusFields = std::map<std::string, std::string>;
StatusFields status_of(pid_t pid);
StatusFields status_of(pid_t pid, pid_t thread);

/// In the order in which they were made.
std::vector<pid_t> threads_of(pid_t pid);

/// /proc/PID/task/TID/syscall: the call that a thread waits in.
struct WaitingCall {
  std::int64_t number = -1;  // -1: in none, but not running either
  std::array<std::uint64_t, 6> arguments{};
};
/// None if the thread is running, or is gone.
std::optional<WaitingCall> waiting_call_of(pid_t pid, pid_t thread);

/// How often the thread was given a processor: a change says that it has run. 0 where the kernel does not
/// count.
std::uint64_t times_scheduled(pid_t pid, pid_t thread);

}  // namespace calltap::inject
