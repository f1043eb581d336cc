// CPU time of another process and of a thread in it.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <ctime>

namespace calltap::cli {

/// Nanoseconds that all threads of the process have had so far, those that have ended too. The kernel brings
/// it up to date with every clock tick and whenever a thread stops running.
class ProcessCpuTime {
 public:
  explicit ProcessCpuTime(pid_t pid);
  /// The last value that could be had, once the process has ended.
  [[nodiscard]] std::uint64_t now();

 private:
  clockid_t clock_{};
  bool known_ = false;
  std::uint64_t last_ = 0;
};

/// Of a thread; 0 if the kernel does not say, or there is no such thread.
std::uint64_t thread_cpu_ns(pid_t pid, pid_t thread);

}  // namespace calltap::cli
