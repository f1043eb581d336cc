// What a stack says about whether the calls on it will return.
#pragma once

#include "trampoline/state.h"

namespace calltap::trampoline {

/// False if the frame's call will certainly never return, as far as its stack tells. Signals must be blocked.
bool may_return(ThreadState& thread, const CallFrame& frame);

}  // namespace calltap::trampoline
