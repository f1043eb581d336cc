// For architectures that keep return addresses in a register: the body saves it where it likes, perhaps
// signed.
#include "isa/system.h"
#include "trampoline/own_stack.h"
#include "trampoline/return_slot.h"

namespace calltap::trampoline {

/// A stack that is still mapped tells nothing: only a younger call in the same place proves a call dead. The
/// thread's own stack stays mapped. For others the kernel looks: a futex wait that must not wait answers
/// "not there" (EFAULT), or something else.
bool may_return(ThreadState& thread, const CallFrame& frame) {
  const std::uint64_t below = frame.sp - 8;  // the body has its stack frame there, if it has one
  if (on_own_stack(thread, below, below)) return true;
  constexpr long kFault = -14;
  return isa::futex_wait(reinterpret_cast<const void*>(below), 0, 0, false) != kFault;
}

}  // namespace calltap::trampoline
