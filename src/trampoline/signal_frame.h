// Has a signal interrupted a handler, or has the handler called?
#pragma once

#include <cstdint>

namespace calltap::trampoline {

/// The calling thread, now at stack pointer `sp`, runs a handler whose stack frames begin below `handler_sp`.
/// True if a signal handler runs on top of it; false if not, or where that cannot be told for certain. Any
/// context; makes system calls.
bool is_in_signal_handler(std::uint64_t sp, std::uint64_t handler_sp);

}  // namespace calltap::trampoline
