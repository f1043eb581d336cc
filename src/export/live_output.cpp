#include "export/live_output.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <ctime>
#include <string>

namespace calltap::export_ {
namespace {

std::uint64_t monotonic_ns() {
  timespec now = {};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000u + static_cast<std::uint64_t>(now.tv_nsec);
}

}  // namespace

LiveOutput::LiveOutput(int fd, bool colour, std::size_t capacity)
    : fd_(fd), colour_(colour), capacity_(capacity) {
  struct stat status = {};
  if (::fstat(fd, &status) != 0) return;
  if (S_ISREG(status.st_mode)) {
    kind_ = Kind::kFile;
  } else if (S_ISSOCK(status.st_mode)) {
    kind_ = Kind::kSocket;
  } else {
    const std::string path = "/proc/self/fd/" + std::to_string(fd);
    own_ = ::open(path.c_str(), O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (own_ >= 0) kind_ = Kind::kOwn;
  }
}

LiveOutput::~LiveOutput() {
  flush();
  if (own_ >= 0) ::close(own_);
}

bool LiveOutput::write_some() {
  if (closed_) return false;
  const char* const from = buffer_.data() + written_;
  std::size_t size = buffer_.size() - written_;
  ssize_t n = 0;
  switch (kind_) {
    case Kind::kFile:
      n = ::write(fd_, from, size);
      break;
    case Kind::kSocket:
      n = ::send(fd_, from, size, MSG_DONTWAIT | MSG_NOSIGNAL);
      break;
    case Kind::kOwn:
      n = ::write(own_, from, size);
      break;
    case Kind::kShared: {
      // What poll() promises for a pipe; a terminal that cannot be opened again may make us wait for this
      // much.
      pollfd ready = {fd_, POLLOUT, 0};
      if (::poll(&ready, 1, 0) <= 0) return false;
      n = ::write(fd_, from, std::min<std::size_t>(size, 512));
      break;
    }
  }
  if (n >= 0) {
    written_ += static_cast<std::size_t>(n);
    return n != 0;
  }
  if (errno == EINTR) return true;
  if (errno == EAGAIN || errno == EWOULDBLOCK) return false;
  closed_ = true;
  if (errno != EPIPE) error_ = errno;
  return false;
}

void LiveOutput::wait_writable(std::uint64_t ns) {
  pollfd ready = {own_ >= 0 ? own_ : fd_, POLLOUT, 0};
  const timespec timeout = {static_cast<std::time_t>(ns / 1'000'000'000u),
                            static_cast<long>(ns % 1'000'000'000u)};
  ::ppoll(&ready, 1, &timeout, nullptr);
}

bool LiveOutput::make_room() {
  const auto write_all = [&] {
    while (written_ < buffer_.size() && write_some()) {
    }
  };
  write_all();
  if (closed_) {
    buffer_.clear();
    written_ = 0;
    clogged_ = true;
    return false;
  }
  while (!clogged_ && buffer_.size() - written_ >= capacity_ && patience_ != 0 && !closed_) {
    const std::uint64_t before = monotonic_ns();
    wait_writable(patience_);
    patience_ -= std::min(patience_, monotonic_ns() - before + 1);
    write_all();
  }
  const std::size_t rest = buffer_.size() - written_;
  // Moving what is left costs as much as writing it: not each time.
  if (rest == 0 || written_ >= capacity_) {
    std::copy(buffer_.data() + written_, buffer_.data() + buffer_.size(), buffer_.data());
    buffer_.resize(rest);
    written_ = 0;
  }
  next_try_ = buffer_.size() + kWriteBytes;
  clogged_ = rest >= (clogged_ ? capacity_ / 2 : capacity_);
  return !clogged_;
}

void LiveOutput::flush() {
  patience_ = 0;
  static_cast<void>(make_room());
  patience_ = kPatienceNs;
}

void LiveOutput::finish(std::uint64_t patience_ns) {
  std::uint64_t since = monotonic_ns();
  flush();
  while (!closed_ && written_ < buffer_.size()) {
    const std::size_t before = buffer_.size() - written_;
    wait_writable(20'000'000);
    flush();
    const std::uint64_t now = monotonic_ns();
    if (buffer_.size() - written_ != before) {
      since = now;
    } else if (now - since >= patience_ns) {
      break;
    }
  }
}

}  // namespace calltap::export_
