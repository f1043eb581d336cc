#include "trace/tick_source.h"

#include <algorithm>
#include <cmath>
#include <ctime>

#include "isa/native.h"

namespace calltap::trace {
namespace {

std::uint64_t read(clockid_t clock) {
  timespec now = {};
  ::clock_gettime(clock, &now);
  return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000u + static_cast<std::uint64_t>(now.tv_nsec);
}

}  // namespace

ClockSample sample_clocks() {
  // The shortest of some tries: an interrupt in between would put the clocks apart.
  ClockSample best;
  std::uint64_t shortest = ~std::uint64_t{0};
  for (int attempt = 0; attempt < 8; ++attempt) {
    const std::uint64_t before = isa::native::read_clock();
    const std::uint64_t monotonic = read(CLOCK_MONOTONIC);
    const std::uint64_t realtime = read(CLOCK_REALTIME);
    const std::uint64_t after = isa::native::read_clock();
    if (after - before < shortest) {
      shortest = after - before;
      best = {before + shortest / 2, monotonic, realtime};
    }
  }
  return best;
}

ClockDescription TickSource::describe(std::uint64_t least_ns) const {
  ClockSample now = sample_clocks();
  while (now.monotonic_ns - anchor_.monotonic_ns < least_ns) {
    const std::uint64_t rest = least_ns - (now.monotonic_ns - anchor_.monotonic_ns);
    const timespec pause = {static_cast<std::time_t>(rest / 1'000'000'000u),
                            static_cast<long>(rest % 1'000'000'000u)};
    ::nanosleep(&pause, nullptr);
    now = sample_clocks();
  }
  const double seconds = static_cast<double>(now.monotonic_ns - anchor_.monotonic_ns) / 1e9;
  ClockDescription clock;
  clock.frequency_hz = static_cast<std::uint64_t>(
      std::llround(static_cast<double>(now.ticks - anchor_.ticks) / std::max(seconds, 1e-9)));
  clock.ticks = anchor_.ticks;
  clock.monotonic_ns = anchor_.monotonic_ns;
  clock.realtime_ns = anchor_.realtime_ns;
  return clock;
}

}  // namespace calltap::trace
