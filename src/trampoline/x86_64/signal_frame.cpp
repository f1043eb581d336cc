#include "trampoline/signal_frame.h"

#include <signal.h>
#include <ucontext.h>

namespace calltap::trampoline {
namespace {

/// What the kernel leaves above a signal handler's return address (arch/x86/include/asm/sigframe.h): the
/// beginning of its ucontext, of which glibc's ucontext_t is the same up to the mask.
struct KernelContext {
  unsigned long flags;
  void* link;
  stack_t stack;
  mcontext_t machine;
  std::uint64_t mask;
};

}  // namespace

const std::uint64_t least_signal_frame = 8 + sizeof(KernelContext);

const std::uint64_t* mask_in_signal_frame(std::uint64_t at, std::uint64_t handler_sp) {
  const auto& context = *reinterpret_cast<const KernelContext*>(at + 8);
  const auto interrupted = static_cast<std::uint64_t>(context.machine.gregs[REG_RSP]);
  const auto floating_point = reinterpret_cast<std::uint64_t>(context.machine.fpregs);
  constexpr greg_t kUserCode = 0x33;
  const bool is_frame = context.link == nullptr &&
                        (context.machine.gregs[REG_CSGSFS] & 0xffff) == kUserCode &&
                        interrupted > at + sizeof(KernelContext) && interrupted <= handler_sp &&
                        floating_point > at && floating_point < interrupted && floating_point % 64 == 0;
  return is_frame ? &context.mask : nullptr;
}

}  // namespace calltap::trampoline
