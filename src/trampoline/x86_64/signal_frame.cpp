#include "trampoline/signal_frame.h"

#include <signal.h>
#include <ucontext.h>

#include "isa/system.h"

namespace calltap::trampoline {
namespace {

constexpr std::uint64_t kMostBytes = std::uint64_t{1} << 20;  // of stack to look through

/// What the kernel leaves above a signal handler's return address (arch/x86/include/asm/sigframe.h): the
/// beginning of its ucontext, of which glibc's ucontext_t is the same up to the mask.
struct KernelContext {
  unsigned long flags;
  void* link;
  stack_t stack;
  mcontext_t machine;
  std::uint64_t mask;
};

std::uint64_t blocked_signals() {
  std::uint64_t mask = 0;
  isa::native::system_call(SYS_rt_sigprocmask, 0, 0, reinterpret_cast<long>(&mask), sizeof mask);
  return mask;
}

bool on_signal_stack(std::uint64_t handler_sp) {
  stack_t stack = {};
  if (isa::is_error(isa::native::system_call(SYS_sigaltstack, 0, reinterpret_cast<long>(&stack))))
    return false;
  const auto low = reinterpret_cast<std::uint64_t>(stack.ss_sp);
  return (stack.ss_flags & SS_ONSTACK) != 0 && (handler_sp < low || handler_sp > low + stack.ss_size);
}

/// Does a signal frame that interrupted code between `at` and `handler_sp` begin at `at`? Its fields depend
/// on each other in ways that nothing else does.
bool is_signal_frame(std::uint64_t at, std::uint64_t handler_sp) {
  const auto& context = *reinterpret_cast<const KernelContext*>(at + 8);
  const auto interrupted = static_cast<std::uint64_t>(context.machine.gregs[REG_RSP]);
  const auto floating_point = reinterpret_cast<std::uint64_t>(context.machine.fpregs);
  constexpr greg_t kUserCode = 0x33;
  return context.link == nullptr && (context.machine.gregs[REG_CSGSFS] & 0xffff) == kUserCode &&
         interrupted > at + sizeof(KernelContext) && interrupted <= handler_sp && floating_point > at &&
         floating_point < interrupted && floating_point % 64 == 0;
}

}  // namespace

bool is_in_signal_handler(std::uint64_t sp, std::uint64_t handler_sp) {
  if (on_signal_stack(handler_sp)) return true;
  if (sp >= handler_sp || handler_sp - sp > kMostBytes) return false;  // another stack: a coroutine's
  for (std::uint64_t at = (sp + 7) & ~std::uint64_t{7}; at + 8 + sizeof(KernelContext) <= handler_sp;
       at += 8) {
    if (!is_signal_frame(at, handler_sp)) continue;
    // It may have been left behind by a handler that is long over. One that still runs has its signal
    // blocked.
    const auto& context = *reinterpret_cast<const KernelContext*>(at + 8);
    return blocked_signals() != context.mask;
  }
  return false;
}

}  // namespace calltap::trampoline
