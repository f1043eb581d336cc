// The tool's side of buffer/control_protocol.h: asking a running process that carries the runtime.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "buffer/control_protocol.h"
#include "cli/descriptor.h"

namespace calltap::cli {

/// A socket with this abstract name in the network namespace of the process, which may be another than ours.
/// Throws SourceError.
Descriptor listen_near(pid_t pid, const std::string& name);

/// The process's control thread, or 0 if it has none.
pid_t find_control_thread(pid_t pid);

/// True once the process runs on without this control thread, which it had: it was detached, or has executed
/// another program. False while it is ending.
bool has_left(pid_t pid, pid_t control_thread);

/// One connection. All members throw SourceError: the process has no control thread, does not answer within
/// 10 seconds, is another user's, ends meanwhile, carries a runtime with another protocol, or refuses.
class ControlClient {
 public:
  explicit ControlClient(pid_t pid);

  /// Sends a request and returns the reply's text. `timeout_ms` is for each message of the reply.
  std::string ask(buffer::Request request, const std::string& text = {}, int timeout_ms = 30'000);
  /// The same for a request whose reply has a descriptor with it.
  struct Answer {
    std::string text;
    Descriptor file;
  };
  Answer ask_for_file(buffer::Request request);
  /// Of the runtime in the process.
  [[nodiscard]] const std::string& version() const { return version_; }

 private:
  Answer exchange(buffer::Request request, const std::string& text, int timeout_ms);

  pid_t pid_;
  Descriptor socket_;
  std::string version_;
};

/// What the process answers to Request::kStatus: the lines "key=value" in their order.
class ProcessStatus {
 public:
  explicit ProcessStatus(const std::string& text);
  /// The first value, "" if there is none.
  [[nodiscard]] std::string get(const std::string& key) const;
  [[nodiscard]] std::vector<std::string> all(const std::string& key) const;

 private:
  std::vector<std::pair<std::string, std::string>> lines_;
};

/// The fields of a line with tabs between them.
std::vector<std::string> fields_of(const std::string& line);

/// Sees to it that the process has a control thread: loads the runtime into it if it has none, and starts the
/// thread. Returns how long one of its threads did nothing else for that, or nothing if there was a control
/// thread already. Throws SourceError.
std::optional<std::chrono::nanoseconds> bring_runtime(pid_t pid);

/// For a command that looks at a process for a while: brings the runtime if there is none, and in that case
/// detaches at the end, so that the process is as it was. Throws SourceError; the end only says on standard
/// error what went wrong.
class Attachment {
 public:
  explicit Attachment(pid_t pid) : pid_(pid), is_ours_(bring_runtime(pid).has_value()) {}
  ~Attachment();
  Attachment(const Attachment&) = delete;
  Attachment& operator=(const Attachment&) = delete;

 private:
  pid_t pid_;
  bool is_ours_;
};

/// What is said of a process of which has_left() is true.
std::string describe_left(pid_t pid);

}  // namespace calltap::cli
