#include "inject/target_memory.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "inject/refusal.h"

namespace calltap::inject {

TargetMemory::TargetMemory(pid_t pid) {
  fd_ = ::open(fmt::format("/proc/{}/mem", pid).c_str(), O_RDWR | O_CLOEXEC);
  if (fd_ < 0) throw_refused(pid, errno);
}

TargetMemory::~TargetMemory() { ::close(fd_); }

bool TargetMemory::read(std::uint64_t address, void* to, std::size_t size) const {
  for (std::size_t done = 0; done < size;) {
    const ssize_t got =
        ::pread(fd_, static_cast<char*>(to) + done, size - done, static_cast<off_t>(address + done));
    if (got <= 0) return false;
    done += static_cast<std::size_t>(got);
  }
  return true;
}

bool TargetMemory::write(std::uint64_t address, const void* from, std::size_t size) const {
  for (std::size_t done = 0; done < size;) {
    const ssize_t put =
        ::pwrite(fd_, static_cast<const char*>(from) + done, size - done, static_cast<off_t>(address + done));
    if (put <= 0) return false;
    done += static_cast<std::size_t>(put);
  }
  return true;
}

std::vector<std::uint8_t> TargetMemory::bytes(std::uint64_t address, std::size_t size) const {
  // In parts: the size is often what the process says, and may be anything.
  constexpr std::size_t kPart = 1 << 20;
  std::vector<std::uint8_t> result;
  while (result.size() < size) {
    const std::size_t done = result.size();
    const std::size_t part = std::min(size - done, kPart);
    result.resize(done + part);
    const ssize_t got = ::pread(fd_, result.data() + done, part, static_cast<off_t>(address + done));
    result.resize(done + static_cast<std::size_t>(std::max<ssize_t>(got, 0)));
    if (got <= 0) break;
  }
  return result;
}

std::string TargetMemory::text(std::uint64_t address, std::size_t most) const {
  const std::vector<std::uint8_t> found = bytes(address, most);
  return {found.begin(), std::find(found.begin(), found.end(), 0)};
}

}  // namespace calltap::inject
