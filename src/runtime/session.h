// The target's side of buffer/session_protocol.h. System calls only: a child may have to do this in the
// middle of a hooked call right after fork.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "base/error.h"
#include "buffer/session_protocol.h"

namespace calltap::runtime {

/// Copies the session's name from the environment. False if there is none: nobody is recording. Call once, at
/// start.
bool find_session(char** environment);
/// The session to join from now on, also for children. False: the name is none. Empty: no session.
bool set_session(std::string_view name);
/// Its name, "" if there is none.
std::string_view session_name();

/// An open connection, closed with the object. No descriptor is kept while the program runs.
class Connection {
 public:
  Connection() = default;
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  /// Errors: kConnect (errno; also if the other side is another user's).
  base::Result<void> open();
  /// The same with the abstract name of another socket.
  base::Result<void> open(std::string_view name);
  /// Before open(): opening, sending and receiving fail after that long. Otherwise they wait.
  void set_patience(std::uint64_t seconds) { patience_seconds_ = seconds; }
  [[nodiscard]] bool is_open() const { return fd_ >= 0; }
  base::Result<void> send(std::span<const std::uint8_t> message);
  /// With a descriptor, which stays the caller's too.
  base::Result<void> send(std::span<const std::uint8_t> message, int fd);

  struct Answer {
    int memory_fd = -1;
    std::size_t size = 0;
  };
  /// Waits for a message; the descriptor that came with it, if any, belongs to the caller. Errors: kProtocol.
  base::Result<Answer> receive(std::span<std::uint8_t> message);

 private:
  int fd_ = -1;
  std::uint64_t patience_seconds_ = 0;  // 0: without end
};

/// How long the control thread waits for a tool that hangs. Shorter than tools wait for the control thread,
/// so that it has time left for them.
inline constexpr std::uint64_t kPatienceSeconds = 5;

/// Says Hello, gets the shared memory, and sets recorder::process(). `text` receives Welcome and the filters'
/// text. Errors: kConnect, kProtocol, kVersion, kOutOfMemory; the process's mode is kOff then.
base::Result<std::span<const std::uint8_t>> join(Connection& connection, buffer::HelloReason reason,
                                                 std::span<std::uint8_t> text);

/// After recorder::leave_pool(), which said whether it is `unused`: the buffers are the tool's alone. The
/// addresses stay ours, for threads that come late; if it is unused, for the next recording.
void unmap_recording(bool unused);

/// The recording this process (or the parent it was forked from) belongs to. Survives fork.
std::span<std::uint8_t, 16> recording_uuid();

}  // namespace calltap::runtime
