#include "trampoline/own_stack.h"

#include <fcntl.h>

#include <algorithm>

#include "isa/system.h"

namespace calltap::trampoline {
namespace {

constexpr std::uint64_t kUnknown = 1;  // stack_low of a thread whose bounds could not be found

/// Reads "low-high " at the start of each line of the maps file, in pieces, and keeps the range that holds
/// `address`.
class RangeFinder {
 public:
  explicit RangeFinder(std::uint64_t address) : address_(address) {}

  bool found() const { return found_; }
  std::uint64_t low() const { return low_; }
  std::uint64_t high() const { return high_; }
  /// The end of the range before.
  std::uint64_t below() const { return below_; }

  void feed(const char* text, long size) {
    for (long i = 0; i < size && !found_; ++i) feed(text[i]);
  }

 private:
  enum class Part { kLow, kHigh, kRest };

  void feed(char c) {
    if (c == '\n') {
      part_ = Part::kLow;
      below_ = high_;
      low_ = high_ = 0;
    } else if (part_ == Part::kRest) {
      return;
    } else if (c == '-') {
      part_ = Part::kHigh;
    } else if (c == ' ') {
      part_ = Part::kRest;
      found_ = low_ <= address_ && address_ < high_;
    } else {
      std::uint64_t& number = part_ == Part::kLow ? low_ : high_;
      number = number * 16 + static_cast<std::uint64_t>(c <= '9' ? c - '0' : c - 'a' + 10);
    }
  }

  std::uint64_t address_;
  std::uint64_t low_ = 0;
  std::uint64_t high_ = 0;
  std::uint64_t below_ = 0;
  Part part_ = Part::kLow;
  bool found_ = false;
};

bool is_main_thread() { return isa::current_pid() == isa::current_tid(); }

void find_bounds(ThreadState& thread) {
  const isa::SignalsBlocked blocked;  // a handler that leaves the search must not leave the bounds unknown
  thread.stack_low = kUnknown;
  thread.stack_high = kUnknown;
  const long fd = isa::native::system_call(SYS_openat, AT_FDCWD, reinterpret_cast<long>("/proc/self/maps"),
                                           O_RDONLY | O_CLOEXEC);
  if (isa::is_error(fd)) return;
  // The main thread's stack has a mapping of its own, which holds the program's environment: libc's pointer
  // to its end is the surest address in it. Another thread's stack ends at its thread control block.
  const std::uint64_t inside =
      is_main_thread() ? main_stack_address : static_cast<std::uint64_t>(isa::native::thread_pointer()) - 64;
  RangeFinder finder(inside);
  char buffer[512];
  for (;;) {
    const long n = isa::native::system_call(SYS_read, fd, reinterpret_cast<long>(buffer), sizeof buffer);
    if (n <= 0 || finder.found()) break;
    finder.feed(buffer, n);
  }
  isa::native::system_call(SYS_close, fd);
  if (!finder.found()) return;
  // The main stack grows: its mapping's low end is where it is now, its limit far below, but not in what is
  // mapped there (emulators map the whole stack and the heap just below it).
  constexpr std::uint64_t kGrowth = std::uint64_t{64} << 20;
  thread.stack_low = is_main_thread() ? std::max(finder.low() - kGrowth, finder.below()) : finder.low();
  thread.stack_high =
      is_main_thread() ? finder.high() : static_cast<std::uint64_t>(isa::native::thread_pointer());
}

}  // namespace

std::uint64_t main_stack_address = 0;

bool on_own_stack(ThreadState& thread, std::uint64_t a, std::uint64_t b) {
  if (thread.stack_low == 0) find_bounds(thread);
  return a >= thread.stack_low && a < thread.stack_high && b >= thread.stack_low && b < thread.stack_high;
}

}  // namespace calltap::trampoline
