// Call frames: where they come from, and how the ones that no return will ever free are found.
//
// A thread owns chunks of frames and a free list. A frame is normally freed by the trampoline. Three things
// leave frames behind: an exception or thread cancellation (the personality routine frees them), a longjmp,
// and a coroutine that is abandoned. The last two are found when the free list runs dry, by one exact rule:
//
//   A frame is alive only while the stack slot below its `sp` holds a trampoline's return point, and among
//   frames that share a slot only the newest, and those that a chain of tail calls ties to it.
//
// The rule needs no knowledge of where stacks lie, so it holds for coroutines on any stack.
#pragma once

#include "trampoline/state.h"

namespace calltap::trampoline {

/// Hands the thread's chunks to threads to come. Called as the last act of a thread; frames still in flight
/// stay valid. Signals must be blocked.
void release_chunks(ThreadState& thread);

/// Number of frames the thread has chunks for. For tests and status.
std::uint64_t frame_capacity(const ThreadState& thread);

/// Told when a thread makes its first hooked call, with signals blocked; implemented by runtime/.
extern "C" void ct_thread_started(ThreadState* thread);
/// Writes an event with the given `record->event_bits + offset` for the calling thread; implemented by
/// recorder/.
extern "C" void ct_event_write(std::uint64_t event_bits);

}  // namespace calltap::trampoline

extern "C" {
// Slow paths of call_around.S, with all registers of the program saved around them.

/// A claimed frame for the calling thread, or null: run the call unhooked. `failed` is the frame that could
/// not be claimed.
calltap::trampoline::CallFrame* ct_frame_slow(calltap::trampoline::CallFrame* failed);
/// The thread's newest frame is not above the new one: reports what a longjmp cut off.
void ct_stack_slow(calltap::trampoline::CallFrame* frame);
/// Calls that ran unhooked because no frame could be had.
extern std::uint64_t ct_frameless_calls;
}
