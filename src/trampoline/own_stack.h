// The stack that the kernel or the thread library gave the calling thread, as opposed to one it switched to.
#pragma once

#include "trampoline/state.h"

namespace calltap::trampoline {

/// Any address on the main thread's stack, set once at start.
extern std::uint64_t main_stack_address;

/// True if both addresses lie on the calling thread's own stack. Finds the bounds at the first call, from
/// /proc/self/maps; false for ever where that cannot be read. Not for the fast path.
bool on_own_stack(ThreadState& thread, std::uint64_t a, std::uint64_t b);

}  // namespace calltap::trampoline
