// A thread's packets: opening, filling and closing them, and where the next one comes from.
//
// All of it runs in the slow path, in the thread whose writer it is, with signals blocked, with the pool held
// in its place (InPool in recorder.cpp). What a signal handler did between the fast path's reading of the
// cursor and now is seen as slots that are no longer zero.
#pragma once

#include "buffer/pool.h"
#include "event/event_layout.h"
#include "isa/native.h"
#include "trampoline/state.h"

namespace calltap::recorder {

/// No slot is free that holds it.
inline constexpr std::uint64_t kSentinel = ~std::uint64_t{0};

/// The thread is the single writer of its own counter, but a signal handler may be a second one.
inline void count_discarded(buffer::ThreadSlot& slot, event::DiscardReason reason, std::uint64_t events = 1) {
  isa::native::add_once(slot.discarded[static_cast<std::size_t>(reason)], events);
}

inline std::uint64_t total_discarded(const buffer::ThreadSlot& slot) {
  std::uint64_t sum = 0;
  for (const std::uint64_t count : slot.discarded) sum += count;
  return sum;
}

/// Data behind an event: 1 ... event::kMaxWords words, which may be zero; 0: none.
struct EventWords {
  const std::uint64_t* words = nullptr;
  std::uint32_t count = 0;
  std::uint32_t layout = 0;
};

/// Writes the event `function << 32 | EventId`, now, or counts it as discarded.
void write_event(buffer::Pool pool, trampoline::Writer& w, std::uint64_t bits, const EventWords& words = {});
/// Moves the cursor from the beginning of an event, or where one may be, behind what is written.
void skip_taken_slots(trampoline::Writer& w);
/// Completes the packet and hands it on. The cursor then points at the sentinel, where every claim fails.
void close_packet(buffer::Pool pool, trampoline::Writer& w);
/// Packets that were set aside, and in which nobody will try a place any more.
void give_back_aside(buffer::Pool pool, trampoline::Writer& w);

}  // namespace calltap::recorder
