#include "cli/process_cpu_time.h"

#include <fmt/format.h>

#include <algorithm>
#include <fstream>

namespace calltap::cli {

ProcessCpuTime::ProcessCpuTime(pid_t pid) : known_(::clock_getcpuclockid(pid, &clock_) == 0) {
  last_ = now();
}

std::uint64_t ProcessCpuTime::now() {
  timespec time = {};
  if (known_ && ::clock_gettime(clock_, &time) == 0) {
    const std::uint64_t ns =
        static_cast<std::uint64_t>(time.tv_sec) * 1'000'000'000 + static_cast<std::uint64_t>(time.tv_nsec);
    last_ = std::max(last_, ns);
  }
  return last_;
}

std::uint64_t thread_cpu_ns(pid_t pid, pid_t thread) {
  std::ifstream file(fmt::format("/proc/{}/task/{}/schedstat", pid, thread));
  std::uint64_t ns = 0;
  return file >> ns ? ns : 0;
}

}  // namespace calltap::cli
