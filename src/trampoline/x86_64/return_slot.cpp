#include "trampoline/return_slot.h"

#include "isa/system.h"
#include "trampoline/code.h"
#include "trampoline/own_stack.h"

namespace calltap::trampoline {

/// The call's stack slot holds a trampoline's return point as long as the call is alive. The thread's own
/// stack can be read: a slot that was in use once stays mapped. Another stack may be gone, so the kernel
/// looks: a futex wait that must not wait answers "differs" (EAGAIN), "equal" (ETIMEDOUT) or "not there"
/// (EFAULT).
bool may_return(ThreadState& thread, const CallFrame& frame) {
  const std::uint64_t slot = frame.sp - kReturnSlotBytes;
  if (on_own_stack(thread, slot, slot))
    return is_in_trampoline(*reinterpret_cast<const volatile std::uint64_t*>(slot));
  for (const char* point : code().return_points) {
    const auto low = static_cast<std::uint32_t>(reinterpret_cast<std::uint64_t>(point));
    constexpr long kTimedOut = -110;
    if (isa::futex_wait(reinterpret_cast<const void*>(slot), low, 0, false) == kTimedOut) return true;
  }
  return false;
}

}  // namespace calltap::trampoline
