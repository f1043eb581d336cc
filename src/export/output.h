// Text on its way to a file descriptor, through a large buffer.
#pragma once

#include <fmt/format.h>

#include <cstddef>
#include <iterator>
#include <string_view>
#include <utility>

namespace calltap::export_ {

/// One thread at a time. A reader that goes away (`| head`) closes the output quietly; any other failure is
/// kept for error(). SIGPIPE must be ignored by the process.
class Output {
 public:
  Output(int fd, bool colour) : fd_(fd), colour_(colour) {}
  Output(const Output&) = delete;
  Output& operator=(const Output&) = delete;
  ~Output() { flush(); }

  void text(std::string_view text) {
    buffer_.append(text);
    if (buffer_.size() >= kFlushBytes) flush();
  }
  template <class... Args>
  void print(fmt::format_string<Args...> format, Args&&... args) {
    fmt::format_to(std::back_inserter(buffer_), format, std::forward<Args>(args)...);
    if (buffer_.size() >= kFlushBytes) flush();
  }
  void flush();

  /// Nobody will read what follows: stop producing it.
  [[nodiscard]] bool closed() const { return closed_; }
  /// errno of the write that failed, 0 if none did.
  [[nodiscard]] int error() const { return error_; }
  /// Escape sequences are wanted.
  [[nodiscard]] bool colour() const { return colour_; }

 private:
  static constexpr std::size_t kFlushBytes = 64 * 1024;

  int fd_;
  bool colour_;
  bool closed_ = false;
  int error_ = 0;
  fmt::memory_buffer buffer_;
};

}  // namespace calltap::export_
