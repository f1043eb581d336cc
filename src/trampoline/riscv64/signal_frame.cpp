#include "trampoline/signal_frame.h"

#include <signal.h>
#include <ucontext.h>

#include <cstddef>

#include "isa/native.h"

namespace calltap::trampoline {
namespace {

// What the kernel leaves where a signal handler's stack begins (rt_sigframe in arch/riscv/kernel/signal.c): a
// siginfo, and a ucontext. glibc's ucontext_t is the kernel's, whose mask is the first word of uc_sigmask.
constexpr std::uint64_t kInfoBytes = 128;
static_assert(offsetof(ucontext_t, uc_mcontext) == 176);

// In the order of their numbers; the place of the first, which is always zero, has the pc.
enum Register { kPc = 0, kSp = 2, kTp = 4 };

}  // namespace

// How much is kept of the floating-point registers, behind the general ones, depends on the processor.
const std::uint64_t least_signal_frame = kInfoBytes + offsetof(ucontext_t, uc_mcontext.__fpregs);

const std::uint64_t* mask_in_signal_frame(std::uint64_t at, std::uint64_t handler_sp) {
  if (at % 16 != 0) return nullptr;
  const auto signal = *reinterpret_cast<const std::int32_t*>(at);
  const auto& context = *reinterpret_cast<const ucontext_t*>(at + kInfoBytes);
  const auto& registers = context.uc_mcontext.__gregs;
  const bool is_frame = registers[kTp] == isa::native::thread_pointer() && context.__uc_flags == 0 &&
                        context.uc_link == nullptr && signal >= 1 && signal <= 64 && registers[kPc] != 0 &&
                        registers[kSp] >= at + least_signal_frame && registers[kSp] <= handler_sp;
  return is_frame ? reinterpret_cast<const std::uint64_t*>(&context.uc_sigmask) : nullptr;
}

}  // namespace calltap::trampoline
