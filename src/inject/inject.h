// Makes a running process load a shared library and call one of its functions, without stopping more of it
// than one thread for a moment. docs/injection.md says how and what is left to chance.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <stdexcept>
#include <string>

namespace calltap::inject {

/// Says what is wrong and what to do about it; fits behind "calltap: ".
struct InjectError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

struct Request {
  pid_t pid = 0;
  /// A file on this side. Its content is what gets loaded: the process need not be able to see it.
  std::string library;
  /// DT_SONAME of the library. If the process has one of that name loaded, that one is used and `library` is
  /// not read.
  std::string soname;
  /// Called as `uint64_t function(uint64_t)` in a thread of the process, all signals blocked except those of
  /// faults. It must not sleep (nanosleep and its like), wait for other threads for long, throw, or leave
  /// with longjmp.
  std::string function;
  std::uint64_t argument = 0;
  std::chrono::milliseconds timeout{10'000};
};

struct Result {
  bool was_loaded = false;
  /// What the function returned.
  std::uint64_t value = 0;
  /// How long the thread that made the call did nothing else.
  std::chrono::nanoseconds stopped{};
};

/// Any thread; blocks for at most about `timeout`. Throws InjectError. Whatever happens, also if this process
/// is killed in the middle, the other one goes on.
Result call_in(const Request& request);

}  // namespace calltap::inject
