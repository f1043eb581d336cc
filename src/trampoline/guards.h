// The guards of all threads: who is running handlers, and since when.
#pragma once

#include "isa/native.h"
#include "trampoline/clients.h"
#include "trampoline/state.h"

namespace calltap::trampoline {

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

/// In a forked child: nobody else holds the lock of guards, and the calling thread has another id.
void fix_guards_after_fork();

/// The thread ends: its guard may be given to another.
void release_guard(ThreadState& thread);

/// Sums of a client's counters over all threads. Any thread.
Counters sum_counters(const Client& client);

/// The calling thread's guard, at its first handler. Null when memory is exhausted. Any context.
Guard* take_guard(ThreadState& thread);

/// For a handler with these registers, inside another or not. What was there before is kept in `regs`.
void enter_guard(Guard& guard, ct_regs& regs);

/// A handler that was left by longjmp, which only a signal handler on top of it can do, has not left its
/// guard. Calls of the thread that come from where it stood, or from nearer to the stack's beginning, prove
/// it; `sp` is where such a call comes from.
void leave_abandoned(ThreadState& thread, Guard& guard, std::uint64_t sp);

/// A call that the client sees, and one that it does not. By the guard's thread.
inline void count_hit(Guard& guard, const Client& client) {
  isa::native::add_once(guard.counters()[client.index].hits, 1);
}
inline void count_missed(Guard& guard, const Client& client) {
  isa::native::add_once(guard.counters()[client.index].missed, 1);
}

}  // namespace calltap::trampoline
