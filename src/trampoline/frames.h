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

/// The thread's own stack ends: reports and frees the calls that are still on it (cancellation stops before
/// the outermost one, longjmps leave some behind). Signals must be blocked.
void abandon_frames(ThreadState& thread);

/// Hands the thread's chunks to threads to come. Called as the last act of a thread, after abandon_frames();
/// frames still in flight on other stacks stay valid. Signals must be blocked.
void release_chunks(ThreadState& thread);

/// Number of frames the thread has chunks for. For tests and status.
std::uint64_t frame_capacity(const ThreadState& thread);

/// The frame's call will never return: runs its exit handlers, or writes an unwound event unless its entry
/// was never written or its end was. Signals must be blocked.
void report_unwound(CallFrame& frame);
/// The packet that holds the newest events is about to be given away: looks now, for the thread's 1024 newest
/// frames, whether an event that a signal handler interrupted is in it. Who takes frames off the chain of the
/// newest has looked before. Signals must be blocked.
void settle_events(ThreadState& thread);
/// Has a call of the thread that a signal interrupted noted a place in this memory, where it will try to
/// write its event when it goes on? Looks at the thread's 1024 newest frames. Signals must be blocked.
bool is_writing_in(const ThreadState& thread, const void* begin, std::size_t bytes);
/// The same for all threads that there are or ever were, from any thread. What it finds may just have ended.
bool anybody_is_writing_in(const void* begin, std::size_t bytes);
/// Puts a claimed frame on the thread's free list, with its blocks. Signals must be blocked.
void put_free(ThreadState& thread, CallFrame& frame);
/// Frees a frame that may be another thread's: that one finds it when it needs one. Signals must be blocked.
void let_go(ThreadState& thread, CallFrame& frame);
/// The same for the frame's blocks alone.
void free_blocks(ThreadState& thread, CallFrame& frame);

/// A frame that is claimed, where `failed`, the free list's first, could not be. Null if there is no memory.
CallFrame* get_frame(ThreadState& thread, CallFrame* failed);

/// At the first thing that Calltap has to know of a thread: sees to it that its end is noticed. Signals must
/// be blocked.
void start_thread(ThreadState& thread);

/// Told when a thread makes its first hooked call, with signals blocked; implemented by runtime/.
extern "C" void ct_thread_started(ThreadState* thread);

// Implemented by recorder/. Signals must be blocked.
/// Writes `function << 32 | EventId` for the calling thread, now.
extern "C" void ct_event_write(std::uint64_t bits);
/// Why a call runs unhooked.
enum class Miss : std::uint8_t {
  kNoFrame,   // there is no memory for a call frame
  kInHandler  // a handler made it, or a chain of tail calls grew too long
};
/// Counts the two events of such a call as discarded.
extern "C" void ct_event_missed(Miss why);
/// Is this event in the calling process's buffers, in the word whose address has this low half?
extern "C" bool ct_event_is_written(std::uint32_t address_low, std::uint64_t event);

}  // namespace calltap::trampoline

extern "C" {
// Slow paths of call_around.S, with all registers of the program saved around them.

/// A claimed frame for the calling thread, or null: run the call unhooked (counted). `failed` is the frame
/// that could not be claimed.
calltap::trampoline::CallFrame* ct_frame_slow(calltap::trampoline::CallFrame* failed);
/// At the entry: the thread's newest frame is not above the new one. Reports what a longjmp cut off.
void ct_stack_slow(calltap::trampoline::CallFrame* frame);
/// At the exit: the frame is not the thread's newest. The same.
void ct_exit_slow(calltap::trampoline::CallFrame* frame);
}
