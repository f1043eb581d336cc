// bring_runtime(): the runtime in a process that was started without it, or that has it asleep.
#include <fmt/format.h>
#include <signal.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <thread>

#include "cli/commands.h"
#include "cli/control_client.h"
#include "cli/module_sources.h"
#include "cli/record_target.h"
#include "inject/inject.h"

namespace calltap::cli {

std::optional<std::chrono::nanoseconds> bring_runtime(pid_t pid) {
  if (find_control_thread(pid) != 0) return std::nullopt;
  if (::kill(pid, 0) != 0 && errno == ESRCH)
    throw SourceError(fmt::format("process {}: no such process", pid));
  inject::Request request;
  request.pid = pid;
  request.library = find_runtime();
  request.soname = "libcalltap.so";
  request.function = "ct_start_control";
  inject::Result result;
  try {
    result = inject::call_in(request);
    if (const auto error = static_cast<std::int64_t>(result.value); error < 0) {
      throw SourceError(fmt::format("process {}: the runtime cannot start its thread there: {}", pid,
                                    std::strerror(static_cast<int>(-error))));
    }
  } catch (const inject::InjectError& error) {
    throw SourceError(error.what());
  }
  // Its id is known before it has its name, by which it is found.
  constexpr int kTries = 100;
  for (int i = 0; i < kTries && find_control_thread(pid) == 0; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  return result.stopped;
}

Attachment::~Attachment() {
  // It may have ended, or somebody else has detached it.
  if (!is_ours_ || find_control_thread(pid_) == 0) return;
  try {
    ControlClient(pid_).ask(buffer::Request::kDetach);
  } catch (const std::exception& error) {
    if (find_control_thread(pid_) != 0) fail(error.what());
  }
}

}  // namespace calltap::cli
