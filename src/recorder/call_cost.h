// What a recorded call costs on this machine, above the call itself.
#pragma once

#include <cstdint>

namespace calltap::recorder {

/// Ticks that a thousand recorded calls of an empty function take: through the recorder's trampoline in use,
/// with both events, written into packets of their own that are no longer in the nearest caches. The call
/// itself, a nanosecond or two, is among it: a program's calls find less of what they need at hand. 0 without
/// memory for these. Takes about a millisecond. Not in a hooked call, and before the recorder's client is
/// registered: until it returns, other threads write no events.
[[nodiscard]] std::uint64_t measure_call_cost();

}  // namespace calltap::recorder
