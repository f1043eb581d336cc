// Reads the process's own memory where it may not be there, or go away meanwhile.
#pragma once

#include <cstddef>
#include <cstdint>

namespace calltap::recorder {

/// The kernel copies, so that nothing faults: a piece at a time, since what is wanted next lies beside it
/// mostly. Where that is forbidden (seccomp) or missing (emulators) it is asked whether a word is there,
/// which is then read: safe for memory that no other thread unmaps just then, as a stack in use is. For one
/// thread at a time; system calls only.
class StackMemory {
 public:
  /// Forgets what was read.
  void begin();
  /// At most kMostBytes. False where no memory is.
  bool read(std::uint64_t address, void* to, std::size_t bytes);

  static constexpr std::size_t kMostBytes = 64;

 private:
  bool holds(std::uint64_t address, std::size_t bytes) const {
    return address >= begin_ && address - begin_ <= size_ && bytes <= size_ - (address - begin_);
  }
  void copy_from(std::uint64_t address);
  static bool look_and_read(std::uint64_t address, void* to, std::size_t bytes);

  std::uint64_t begin_;
  std::uint64_t size_;
  long pid_;
  std::uint8_t piece_[4096];
};

}  // namespace calltap::recorder
