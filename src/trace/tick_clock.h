// From clock ticks to time, exactly and without overflow.
#pragma once

#include <algorithm>
#include <cstdint>

#include "trace/description.h"

namespace calltap::trace {

/// Any thread.
class TickClock {
 public:
  explicit TickClock(const ClockDescription& clock)
      : clock_(clock), frequency_(std::max<std::uint64_t>(clock.frequency_hz, 1)) {}

  /// Nanoseconds that a number of ticks last, rounded down.
  [[nodiscard]] std::uint64_t duration_ns(std::uint64_t ticks) const {
    if (frequency_ < kNarrow) [[likely]]  // a fourth of the time
      return ticks / frequency_ * kNsPerSecond + ticks % frequency_ * kNsPerSecond / frequency_;
    return ticks / frequency_ * kNsPerSecond +
           static_cast<std::uint64_t>(Wide{ticks % frequency_} * kNsPerSecond / frequency_);
  }
  /// Ticks that a time lasts, rounded up.
  [[nodiscard]] std::uint64_t ticks_of(std::uint64_t ns) const {
    const std::uint64_t rest =
        static_cast<std::uint64_t>((Wide{ns % kNsPerSecond} * frequency_ + kNsPerSecond - 1) / kNsPerSecond);
    return ns / kNsPerSecond * frequency_ + rest;
  }
  /// CLOCK_MONOTONIC at that tick; wraps for ticks before the clock's zero.
  [[nodiscard]] std::uint64_t monotonic_ns(std::uint64_t ticks) const {
    return at(ticks, clock_.monotonic_ns);
  }
  /// Nanoseconds since 1970 at that tick.
  [[nodiscard]] std::uint64_t realtime_ns(std::uint64_t ticks) const { return at(ticks, clock_.realtime_ns); }

 private:
  // ISO C++ has no 128-bit integer; both compilers do.
  __extension__ typedef unsigned __int128 Wide;
  static constexpr std::uint64_t kNsPerSecond = 1'000'000'000;
  static constexpr std::uint64_t kNarrow = ~std::uint64_t{0} / kNsPerSecond;

  [[nodiscard]] std::uint64_t at(std::uint64_t ticks, std::uint64_t base_ns) const {
    return ticks >= clock_.ticks ? base_ns + duration_ns(ticks - clock_.ticks)
                                 : base_ns - duration_ns(clock_.ticks - ticks);
  }

  ClockDescription clock_;
  std::uint64_t frequency_;
};

}  // namespace calltap::trace
