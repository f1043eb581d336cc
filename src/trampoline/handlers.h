// Running handlers: what the trampolines of handlers.S leave to C++, and what others need of it.
#pragma once

#include "trampoline/clients.h"
#include "trampoline/frames.h"

namespace calltap::trampoline {

/// True if the address lies in a trampoline that calls around: it is a return point, not a caller.
bool is_in_trampoline(std::uint64_t address);

/// Handlers that start from now on are of a new epoch, which this returns, so that older ones can be told. A
/// change of sets or clients that was stored before the call, followed by a barrier in all threads, is seen
/// by every handler of this or a later epoch. 0: not possible now, a handler runs since too many epochs. Any
/// thread.
std::uint64_t start_epoch();

/// The newest epoch; what is taken out of use now may be in use by handlers of this and earlier ones.
std::uint64_t current_epoch();

/// The epoch in which the thread's outermost handler was entered, 0 if it runs none. Any thread.
std::uint64_t epoch_of(const Guard& guard);

/// Newest of all guards, including those that belong to no thread now. Any thread.
Guard* first_guard();

/// True while the calling thread, now at stack pointer `sp`, runs a handler. Any context.
bool in_handler(std::uint64_t sp);

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
