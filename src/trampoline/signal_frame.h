// Has a signal interrupted a handler, or has the handler called?
#pragma once

#include <cstdint>

namespace calltap::trampoline {

/// The calling thread, now at stack pointer `sp`, runs a handler whose stack frames begin below `handler_sp`.
/// True if a signal handler runs on top of it; false if not, or where that cannot be told for certain. Any
/// context; makes system calls.
bool is_in_signal_handler(std::uint64_t sp, std::uint64_t handler_sp);

// The architecture's part (<architecture>/signal_frame.cpp): what the kernel leaves on the stack.

/// Bytes of stack that a signal frame needs at least.
extern const std::uint64_t least_signal_frame;
/// The mask of blocked signals that a signal frame keeps which begins at `at` and has interrupted code
/// between there and `handler_sp`. Null if none does: a frame's fields depend on each other in ways that
/// nothing else does. `at` is a multiple of 8, and least_signal_frame bytes from there can be read.
const std::uint64_t* mask_in_signal_frame(std::uint64_t at, std::uint64_t handler_sp);

}  // namespace calltap::trampoline
