// Text on its way to a terminal, pipe or file that must not keep its writer waiting.
#pragma once

#include <fmt/format.h>

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace calltap::export_ {

/// One thread. Text that does not fit is the caller's to drop and to count: ask has_room() first. A regular
/// file is written as it comes; it is never full. SIGPIPE must be ignored by the process.
class LiveOutput {
 public:
  static constexpr std::size_t kCapacity = std::size_t{1} << 20;

  /// `fd` stays open and stays the caller's; its flags, which it may share with other processes, are not
  /// changed.
  LiveOutput(int fd, bool colour, std::size_t capacity = kCapacity);
  ~LiveOutput();
  LiveOutput(const LiveOutput&) = delete;
  LiveOutput& operator=(const LiveOutput&) = delete;

  /// Where to append; a line at a time.
  [[nodiscard]] fmt::memory_buffer& buffer() { return buffer_; }
  /// False from when the buffer is full until half of it was written. Writes what it can before it says so,
  /// and until the next flush() waits for the reader kPatienceNs in all.
  [[nodiscard]] bool has_room() {
    if (!clogged_ && buffer_.size() < next_try_) return true;
    // An attempt is a system call: not for each line that is dropped.
    if (clogged_ && ++refused_ % kRefusals != 0) return false;
    return make_room();
  }
  /// Writes what is possible without waiting.
  void flush();
  /// Writes the rest; gives up when the reader takes nothing for so long.
  void finish(std::uint64_t patience_ns);

  /// Nobody will read what follows.
  [[nodiscard]] bool closed() const { return closed_; }
  /// errno of the write that failed, 0 if none did.
  [[nodiscard]] int error() const { return error_; }
  [[nodiscard]] bool colour() const { return colour_; }
  [[nodiscard]] int fd() const { return fd_; }

 private:
  static constexpr std::size_t kWriteBytes = 32 * 1024;
  static constexpr std::uint32_t kRefusals = 1024;
  static constexpr std::uint64_t kPatienceNs = 10'000'000;

  enum class Kind { kFile, kSocket, kOwn, kShared };

  [[nodiscard]] bool make_room();
  /// False when the reader takes nothing more now.
  bool write_some();
  void wait_writable(std::uint64_t ns);

  int fd_;
  int own_ = -1;  // the same pipe or terminal, opened again, so that it can be non-blocking
  Kind kind_ = Kind::kShared;
  bool colour_;
  std::size_t capacity_;
  bool clogged_ = false;
  bool closed_ = false;
  int error_ = 0;
  std::uint64_t patience_ = kPatienceNs;
  std::size_t written_ = 0;  // of the buffer
  std::size_t next_try_ = kWriteBytes;
  std::uint32_t refused_ = 0;
  fmt::memory_buffer buffer_;
};

}  // namespace calltap::export_
