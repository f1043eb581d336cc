// The clock that events carry, read beside the system's clocks, so that ticks can be placed in time.
#pragma once

#include "trace/description.h"

namespace calltap::trace {

/// Three clocks at one instant, to within the time of one reading.
struct ClockSample {
  std::uint64_t ticks = 0;
  std::uint64_t monotonic_ns = 0;
  std::uint64_t realtime_ns = 0;
};
ClockSample sample_clocks();

/// A recording's clock: one anchor for all its processes, and a frequency that gets more exact as time
/// passes.
class TickSource {
 public:
  TickSource() : anchor_(sample_clocks()) {}
  /// The best description so far. Waits until the clock has been watched for `least_ns` nanoseconds.
  [[nodiscard]] ClockDescription describe(std::uint64_t least_ns) const;

 private:
  ClockSample anchor_;
};

}  // namespace calltap::trace
