// What the recorder knows of its process's recording. Zero-filled by the kernel in a forked child, which
// thereby knows that it has to ask for a recording of its own.
#pragma once

#include <atomic>
#include <cstdint>

#include "buffer/pool.h"
#include "event/event_layout.h"
#include "trampoline/state.h"

namespace calltap::recorder {

enum class Mode : std::uint32_t {
  kUnknown,  // nobody has asked the tool yet (also: a child after fork)
  kOff,      // no tool, or it refused: hooked calls run, nothing is written
  kOn,
};

struct Process {
  std::atomic<Mode> mode;
  std::atomic<std::uint32_t> connecting;  // tid of the thread that talks to the tool
  std::uint32_t pid;                      // whose mode it is
  std::atomic<std::uint32_t> inside;      // calls that may be working with the pool, but for the fast paths
  std::atomic<std::uint32_t> frozen;      // those that are about to do so wait
  buffer::Pool pool;
};

/// Allocates the zero-on-fork memory; the first call counts, and comes before the recorder's client is
/// registered. False when memory is exhausted.
[[nodiscard]] bool initialise();

/// In a child after fork: what the kernel should have filled with zeros, and an emulator has perhaps not.
/// Does nothing if the child has a recording of its own already.
void forget_parent();

/// The recording of the calling process. Valid after initialise().
Process& process();

/// Turns recording off in this process, which runs on: true once nobody writes events into the pool any more,
/// so that the tool can have it and another recording begin. False: after 2 seconds somebody still does, such
/// as a thread that a signal handler keeps in the middle of an event. Either way a late reader of the pool's
/// control may still come, so its addresses must stay readable and writable. Call after the recorder's client
/// was unregistered; one thread at a time.
[[nodiscard]] bool leave_pool();

/// What decides whether a thread writes events now; as it was in a forked child. `shut`: a trigger has turned
/// events off. `only_inside`: they are written inside some functions alone, by threads whose Writer::inside
/// is not 0.
struct Gate {
  std::atomic<std::uint32_t> shut;  // 0 or 1
  std::atomic<bool> only_inside;
};
extern Gate gate;

/// The gate has been shut: other threads than the calling one stop writing too, which may take until the end
/// of their packets without this. Gives up where a thread waits for room in the buffers. Not in a hooked
/// call.
void enforce_gate();
/// The calling thread's writer looks at the gate before its next event. Signals must be blocked.
void look_at_gate(trampoline::ThreadState& thread);
/// The calling thread enters or leaves a function that is recorded with what it calls. Signals must be
/// blocked.
void enter_inside(trampoline::ThreadState& thread);
void leave_inside(trampoline::ThreadState& thread);

/// Writes an event with words of data for the calling thread, now: kArguments or kStack, of which `layout`
/// says what the words are. Does nothing where no events are written, or unless there are 1 ...
/// event::kMaxWords words. For handlers of clients. Signals must be blocked.
void write_event_with_words(event::EventId id, std::uint32_t function, std::uint32_t layout,
                            const std::uint64_t* words, std::uint32_t count);

/// A number below buffer::kMaxThreads that no other thread has, or kNoWriter where the calling thread's
/// events are not written now. Signals must be blocked.
std::uint32_t open_writer();
inline constexpr std::uint32_t kNoWriter = ~std::uint32_t{0};

/// Asks the tool for a recording for this process: fills `process().pool` and sets the mode. Implemented by
/// runtime/. Called with signals blocked, by one thread at a time, possibly in a child right after fork:
/// system calls only.
void connect_process();

/// Closes the thread's last packet and gives its slot back. Signals must be blocked.
void end_thread(trampoline::ThreadState& thread);

}  // namespace calltap::recorder
