#include "trampoline/signal_frame.h"

#include <asm/sigcontext.h>
#include <signal.h>
#include <ucontext.h>

#include <cstddef>

namespace calltap::trampoline {
namespace {

// What the kernel leaves where a signal handler's stack begins (rt_sigframe in arch/arm64/kernel/signal.c): a
// siginfo, and a ucontext. glibc's ucontext_t is the kernel's, whose mask is the first word of uc_sigmask.
constexpr std::uint64_t kInfoBytes = 128;
static_assert(offsetof(ucontext_t, uc_mcontext) == 176);

}  // namespace

const std::uint64_t least_signal_frame = kInfoBytes + sizeof(ucontext_t);

const std::uint64_t* mask_in_signal_frame(std::uint64_t at, std::uint64_t handler_sp) {
  if (at % 16 != 0) return nullptr;
  const auto& context = *reinterpret_cast<const ucontext_t*>(at + kInfoBytes);
  const mcontext_t& machine = context.uc_mcontext;
  // The first record of the variable part is always this one.
  const auto& floating_point = *reinterpret_cast<const fpsimd_context*>(&machine.__reserved);
  constexpr std::uint64_t kModeBits = 0x1f;  // of pstate: 0 in programs of 64 bits
  const bool is_frame = floating_point.head.magic == FPSIMD_MAGIC &&
                        floating_point.head.size == sizeof(fpsimd_context) && context.uc_flags == 0 &&
                        context.uc_link == nullptr && (machine.pstate & kModeBits) == 0 &&
                        machine.sp >= at + least_signal_frame && machine.sp <= handler_sp;
  return is_frame ? reinterpret_cast<const std::uint64_t*>(&context.uc_sigmask) : nullptr;
}

}  // namespace calltap::trampoline
