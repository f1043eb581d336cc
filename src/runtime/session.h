// The target's side of buffer/session_protocol.h. System calls only: a child may have to do this in the
// middle of a hooked call right after fork.
#pragma once

#include <cstdint>
#include <span>

#include "base/error.h"
#include "buffer/session_protocol.h"

namespace calltap::runtime {

/// Copies the session's name from the environment. False if there is none: nobody is recording. Call once, at
/// start.
bool find_session(char** environment);

/// An open connection, closed with the object. No descriptor is kept while the program runs.
class Connection {
 public:
  Connection() = default;
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  /// Errors: kConnect (errno; also if the other side is another user's).
  base::Result<void> open();
  [[nodiscard]] bool is_open() const { return fd_ >= 0; }
  base::Result<void> send(std::span<const std::uint8_t> message);

  struct Answer {
    int memory_fd = -1;
    std::size_t size = 0;
  };
  /// Waits for a message; the descriptor that came with it, if any, belongs to the caller. Errors: kProtocol.
  base::Result<Answer> receive(std::span<std::uint8_t> message);

 private:
  int fd_ = -1;
};

/// Says Hello, gets the shared memory, and sets recorder::process(). `text` receives Welcome and the filters'
/// text. Errors: kConnect, kProtocol, kVersion, kOutOfMemory; the process's mode is kOff then.
base::Result<std::span<const std::uint8_t>> join(Connection& connection, buffer::HelloReason reason,
                                                 std::span<std::uint8_t> text);

/// The recording this process (or the parent it was forked from) belongs to. Survives fork.
std::span<std::uint8_t, 16> recording_uuid();

}  // namespace calltap::runtime
