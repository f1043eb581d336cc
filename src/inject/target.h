// What is known of a process before any of its threads is touched.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

#include "inject/modules.h"
#include "inject/process_files.h"
#include "inject/target_memory.h"
#include "inject/unsafe_code.h"

namespace calltap::inject {

struct LoaderFunctions {
  std::uint64_t errno_location = 0;
  std::uint64_t open = 0;
  std::uint64_t symbol = 0;
  std::uint64_t error = 0;  // 0 if there is none
  std::uint64_t open_flags = 0;
};

/// Instructions in libc that a borrowed thread goes through before it has code of ours.
struct Gadgets {
  std::uint64_t system_call = 0;    // syscall; ret
  std::uint64_t signal_return = 0;  // mov $15, %rax; syscall
};

struct Target {
  /// Throws InjectError for all reasons for which nothing can be done.
  explicit Target(pid_t process);

  /// False once the process has executed another program, or has ended.
  [[nodiscard]] bool is_there() const;

  pid_t pid;
  TargetMemory memory;
  std::vector<Mapping> mappings;
  std::vector<Module> modules;
  UnsafeCode unsafe;
  LoaderFunctions loader;
  Gadgets gadgets;
};

}  // namespace calltap::inject
