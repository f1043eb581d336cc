// Running handlers: what the trampolines of handlers.S leave to C++, and what others need of it.
#pragma once

#include "trampoline/clients.h"
#include "trampoline/frames.h"

namespace calltap::trampoline {

/// True if the address lies in a trampoline that calls around: it is a return point, not a caller.
bool is_in_trampoline(std::uint64_t address);

/// Lengthens the wait for guards to handlers that start from now on, and returns the epoch that tells older
/// ones. A change of sets or clients that was stored before the call, followed by a barrier in all threads,
/// is seen by every handler of this or a later epoch.
std::uint64_t next_epoch();

/// Newest of all guards, including those that belong to no thread now. Any thread.
Guard* first_guard();

/// True while the calling thread runs a handler. Any context.
bool in_handler();

/// Runs the exit handlers of a probe's call that will never return, with CT_REGS_UNWOUND, and drops them.
/// Signals must be blocked.
void run_unwound_exits(CallFrame& frame);

/// An exit handler of the call has been called. Its own does not run again, whatever becomes of it; a list's
/// exit goes on with those of its clients that have not run.
void begin_exit(CallFrame& frame);

/// In a forked child: nobody else holds the lock of guards, and the calling thread has another id.
void fix_guards_after_fork();

/// The thread ends: its guard may be given to another.
void release_guard(ThreadState& thread);

/// Sums of a client's counters over all threads. Any thread.
Counters sum_counters(const Client& client);

/// Finds out which vector registers the processor has. Once, before any site has handlers.
void detect_vectors();

/// The client that lists are called with: its entry handler runs the entry handlers of the set in `regs`, and
/// its exit handler those that the call frame's blocks hold, in reverse.
extern Client list_client;

}  // namespace calltap::trampoline
