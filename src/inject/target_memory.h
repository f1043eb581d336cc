// The memory of another process, through /proc/PID/mem.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <cstring>
#include <optional>
#include <string>
#include <type_traits>
#include <vector>

namespace calltap::inject {

/// Move-only. Stays with the program that ran when it was opened: after an exec nothing can be read any more.
class TargetMemory {
 public:
  /// Throws InjectError with the reason that the system has for refusing.
  explicit TargetMemory(pid_t pid);
  TargetMemory(const TargetMemory&) = delete;
  TargetMemory& operator=(const TargetMemory&) = delete;
  ~TargetMemory();

  /// All of it or false.
  bool read(std::uint64_t address, void* to, std::size_t size) const;
  bool write(std::uint64_t address, const void* from, std::size_t size) const;

  /// As much as there is from `address` on, at most `size`.
  [[nodiscard]] std::vector<std::uint8_t> bytes(std::uint64_t address, std::size_t size) const;
  /// Up to a terminating zero or `most` bytes.
  [[nodiscard]] std::string text(std::uint64_t address, std::size_t most = 4096) const;

  template <class T>
  [[nodiscard]] std::optional<T> value(std::uint64_t address) const {
    static_assert(std::is_trivially_copyable_v<T>);
    T result{};
    if (!read(address, &result, sizeof result)) return std::nullopt;
    return result;
  }

 private:
  int fd_ = -1;
};

}  // namespace calltap::inject
