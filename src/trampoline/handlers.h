// Running handlers: what the trampolines of handlers.inc leave to C++, and what others need of it.
#pragma once

#include "trampoline/clients.h"
#include "trampoline/frames.h"

namespace calltap::trampoline {

/// True if the address lies in a trampoline that calls around: it is a return point, not a caller.
bool is_in_trampoline(std::uint64_t address);

/// Runs the exit handlers of a probe's call that will never return, with CT_REGS_UNWOUND, and drops them.
/// Signals must be blocked.
void run_unwound_exits(CallFrame& frame);

/// The function that is called. While handlers run.
std::uint64_t ip_of(const ct_regs& regs);

/// The address that the call returns to; of one that was jumped to, that of whoever called. While handlers
/// run.
std::uint64_t parent_of(const ct_regs& regs);

/// A handler of the call is being left by an exception. A client's own exit handler does not run, or run
/// again, whatever becomes of the call; a list's exit goes on with those of its clients whose entry handlers
/// have returned and whose exit handlers have not run.
void begin_exit(CallFrame& frame);

/// Finds out which vector registers the processor has. Once, before any site has handlers.
void detect_vectors();

/// The client that lists are called with: its entry handler runs the entry handlers of a set, and its exit
/// handler the exit handlers that the call frame's blocks hold, in reverse.
extern Client list_client;

}  // namespace calltap::trampoline
