#include "trampoline/signal_frame.h"

#include <signal.h>

#include "isa/system.h"

namespace calltap::trampoline {
namespace {

constexpr std::uint64_t kMostBytes = std::uint64_t{1} << 20;  // of stack to look through

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

}  // namespace

bool is_in_signal_handler(std::uint64_t sp, std::uint64_t handler_sp) {
  if (on_signal_stack(handler_sp)) return true;
  if (sp >= handler_sp || handler_sp - sp > kMostBytes) return false;  // another stack: a coroutine's
  for (std::uint64_t at = (sp + 7) & ~std::uint64_t{7}; at + least_signal_frame <= handler_sp; at += 8) {
    const std::uint64_t* mask = mask_in_signal_frame(at, handler_sp);
    // It may have been left behind by a handler that is long over. One that still runs has its signal
    // blocked.
    if (mask != nullptr) return blocked_signals() != *mask;
  }
  return false;
}

}  // namespace calltap::trampoline
