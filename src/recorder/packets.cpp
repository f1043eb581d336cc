#include "recorder/packets.h"

#include "isa/system.h"
#include "recorder/process.h"
#include "trampoline/frames.h"

namespace calltap::recorder {
namespace {

using buffer::OnFull;
using buffer::Pool;
using buffer::ThreadSlot;
using event::DiscardReason;
using trampoline::Writer;

std::uint64_t read_clock_after(std::uint64_t last) {
  const std::uint64_t now = isa::native::read_clock();
  return now > last ? now : last;  // another core's clock may lag by a tick
}

/// Words of the event at `at`, which is in the packet as a whole.
std::size_t words_at(const std::uint64_t* at, const std::uint64_t* end) {
  const auto left = static_cast<std::size_t>(end - at);
  const std::size_t words = event::event_words([at](std::size_t i) { return at[i]; }, left);
  return words != 0 ? words : left;
}

std::uint64_t count_events(const std::uint8_t* packet, std::uint32_t content_bytes) {
  const auto* at = reinterpret_cast<const std::uint64_t*>(packet + sizeof(event::PacketHeader));
  const auto* const end = reinterpret_cast<const std::uint64_t*>(packet) + content_bytes / 8;
  std::uint64_t events = 0;
  for (; at < end; at += words_at(at, end)) ++events;
  return events;
}

void open_packet(Pool pool, Writer& w, std::uint32_t index, std::uint64_t now) {
  std::uint8_t* packet = pool.packet(index);
  __builtin_memset(packet, 0, event::kPacketBytes);
  ThreadSlot& slot = pool.thread(w.slot);
  event::PacketHeader& h = pool.header(index);
  h.magic = event::kCtfMagic;
  __builtin_memcpy(h.uuid, pool.control().uuid, sizeof h.uuid);
  h.timestamp_begin = now;
  h.timestamp_end = now;
  h.packet_bits = event::kPacketBytes * 8;
  h.sequence = slot.packet_sequence++;
  h.discarded = total_discarded(slot);
  h.tid = slot.tid.load(std::memory_order_relaxed);
  w.packet = index;
  w.has_packet = 1;
  w.sentinel = reinterpret_cast<std::uint64_t*>(packet + event::kPacketBytes) - 1;
  *w.sentinel = kSentinel;
  w.last_time = now;
  w.cursor = reinterpret_cast<std::uint64_t*>(&h + 1);
}

std::uint32_t claim_packet(Pool pool, Writer& w, DiscardReason& reason);

bool is_written_in(Pool pool, std::uint32_t index) {
  return trampoline::is_writing_in(ct_thread, pool.packet(index), event::kPacketBytes);
}

/// An interrupted call of this thread may still try a place in the packet, with the time of long ago. So
/// nobody gets the memory until it no longer can, and until then every place in it is taken.
void set_aside(Pool pool, Writer& w, std::uint32_t index) {
  __builtin_memset(pool.packet(index), 0xff, event::kPacketBytes);
  pool.descriptor(index).content_bytes = w.aside;
  w.aside = index + 1;
  pool.set_aside(w.slot);
}

/// Moves a full packet's events to another one and sets it aside. Returns the other one, or kNone: there was
/// none, and the events are counted.
std::uint32_t move_packet(Pool pool, Writer& w, std::uint32_t index) {
  DiscardReason reason;
  const std::uint32_t other = claim_packet(pool, w, reason);
  const std::uint32_t content = pool.descriptor(index).content_bytes;
  if (other == Pool::kNone) {
    count_discarded(pool.thread(w.slot), reason, count_events(pool.packet(index), content));
  } else {
    // At no time are there two packets that the tool would take.
    event::PacketHeader header = pool.header(index);
    header.magic = 0;
    __builtin_memcpy(pool.packet(other), &header, sizeof header);
    __builtin_memcpy(pool.packet(other) + sizeof header, pool.packet(index) + sizeof header,
                     event::kPacketBytes - sizeof header);
    pool.descriptor(other).content_bytes = content;
  }
  set_aside(pool, w, index);
  if (other != Pool::kNone) pool.header(other).magic = event::kCtfMagic;
  return other;
}

/// Flight mode: a free packet, or else an old one, whose events are lost now.
std::uint32_t next_flight_packet(Pool pool, const Writer& w) {
  const std::uint32_t index = pool.claim_packet(w.slot);
  if (index != Pool::kNone) return index;
  const Pool::OldPacket old = pool.claim_oldest(w.slot);
  if (old.index == Pool::kNone) return Pool::kNone;
  const std::uint64_t events = count_events(pool.packet(old.index), pool.descriptor(old.index).content_bytes);
  if (old.is_own) {
    count_discarded(pool.thread(w.slot), DiscardReason::kOverwritten, events);
  } else {
    // Its thread may have ended, and another may have its slot.
    pool.control().overwritten.fetch_add(events, std::memory_order_relaxed);
  }
  return old.index;
}

/// kWait: sleeps until there is a packet, recording ends, or the tool is gone.
std::uint32_t wait_for_packet(Pool pool, Writer& w) {
  buffer::Control& c = pool.control();
  for (;;) {
    const std::uint32_t seen = c.free_sequence.load(std::memory_order_seq_cst);
    const std::uint32_t index = pool.claim_packet(w.slot);
    if (index != Pool::kNone || c.stopped.load(std::memory_order_relaxed) != 0) return index;
    c.waiters.fetch_add(1, std::memory_order_seq_cst);
    isa::futex_wait(&c.free_sequence, seen, 100'000'000, true);
    c.waiters.fetch_sub(1, std::memory_order_relaxed);
    if ((c.tool_life.load(std::memory_order_relaxed) & FUTEX_OWNER_DIED) != 0) {
      c.stopped.store(static_cast<std::uint32_t>(DiscardReason::kToolGone) + 1, std::memory_order_relaxed);
      return Pool::kNone;
    }
  }
}

/// A packet for the writer, or kNone and the reason.
std::uint32_t claim_packet(Pool pool, Writer& w, DiscardReason& reason) {
  buffer::Control& c = pool.control();
  const std::uint32_t stopped = c.stopped.load(std::memory_order_relaxed);
  if (stopped != 0) {
    reason = static_cast<DiscardReason>(stopped - 1);
    return Pool::kNone;
  }
  reason = DiscardReason::kBufferFull;
  if (c.on_full == OnFull::kFlight) return next_flight_packet(pool, w);
  const std::uint32_t seen = c.free_sequence.load(std::memory_order_seq_cst);
  std::uint32_t index = pool.claim_packet(w.slot);
  if (index == Pool::kNone && c.on_full == OnFull::kWait) {
    index = wait_for_packet(pool, w);
    if (index == Pool::kNone) reason = static_cast<DiscardReason>(c.stopped.load() - 1);
  }
  w.free_seen = seen;
  return index;
}

/// Gives the writer a new packet, or leaves it without one and counts the event.
bool next_packet(Pool pool, Writer& w) {
  DiscardReason reason;
  std::uint32_t index = claim_packet(pool, w, reason);
  // In a forked child the buffers may be where the parent's were when the call was interrupted.
  for (; index != Pool::kNone && is_written_in(pool, index); index = claim_packet(pool, w, reason)) {
    set_aside(pool, w, index);
  }
  if (index == Pool::kNone) {
    const bool recording_ends = process().mode.load(std::memory_order_relaxed) != Mode::kOn;
    if (!recording_ends) count_discarded(pool.thread(w.slot), reason);
    return false;
  }
  open_packet(pool, w, index, isa::native::read_clock());
  return true;
}

}  // namespace

void skip_taken_slots(Writer& w) {
  while (w.cursor < w.sentinel && *w.cursor != 0) w.cursor += words_at(w.cursor, w.sentinel);
}

void give_back_aside(Pool pool, Writer& w) {
  for (std::uint32_t* link = &w.aside; *link != 0;) {
    const std::uint32_t index = *link - 1;
    if (is_written_in(pool, index)) {
      link = &pool.descriptor(index).content_bytes;
      continue;
    }
    *link = pool.descriptor(index).content_bytes;
    pool.give_back(index);
  }
}

void close_packet(Pool pool, Writer& w) {
  skip_taken_slots(w);
  trampoline::settle_events(ct_thread);
  event::PacketHeader& h = pool.header(w.packet);
  const auto content = static_cast<std::uint32_t>(reinterpret_cast<std::uint8_t*>(w.cursor) -
                                                  reinterpret_cast<std::uint8_t*>(&h));
  // A writer that was interrupted before its claim may still hold this slot's address: it must not find it
  // empty.
  for (std::uint64_t* slot = w.cursor; slot < w.sentinel; ++slot) *slot = kSentinel;
  h.content_bits = std::uint64_t{content} * 8;
  h.timestamp_end = read_clock_after(h.timestamp_begin);
  h.discarded = total_discarded(pool.thread(w.slot));
  pool.descriptor(w.packet).content_bytes = content;
  w.cursor = w.sentinel;
  w.has_packet = 0;
  give_back_aside(pool, w);
  const std::uint32_t full = is_written_in(pool, w.packet) ? move_packet(pool, w, w.packet) : w.packet;
  if (full == Pool::kNone) return;
  if (pool.control().on_full == OnFull::kFlight) {
    pool.keep_packet(full);
  } else {
    pool.queue_packet(full);
  }
}

void write_event(Pool pool, Writer& w, std::uint64_t bits, const EventWords& words) {
  skip_taken_slots(w);
  // Words of the event behind its header.
  const std::size_t data = words.count == 0 ? 0 : std::size_t{words.count} + 1;
  const auto room = [&w] { return static_cast<std::size_t>(w.sentinel - w.cursor); };
  if (w.has_packet == 0 || room() < 1 + data) {
    if (w.has_packet != 0) close_packet(pool, w);
    if (!next_packet(pool, w)) return;
  }
  std::uint64_t now = read_clock_after(w.last_time);
  if (now - w.last_time > event::kTimeMask && room() < 2 + data) {
    close_packet(pool, w);
    if (!next_packet(pool, w)) return;
    now = w.last_time;
  }
  const auto id = static_cast<event::EventId>(bits & 31);
  const auto function = static_cast<std::uint32_t>(bits >> 32);
  std::uint64_t* const event = w.cursor;
  std::uint64_t* at = event + 1;
  std::uint64_t first = 0;
  if (now - w.last_time <= event::kTimeMask) {
    first = event::compact_event(id, now, function);
  } else {
    const event::ExtendedEvent e = event::extended_event(id, now, function);
    first = e.low;
    *at++ = e.high;
  }
  if (words.count != 0) {
    *at++ = event::words_header(words.count, words.layout);
    for (std::uint32_t i = 0; i < words.count; ++i) *at++ = words.words[i];
  }
  // Last, for until now the packet ends here: to whoever reads it, and to an interrupted call that holds this
  // place, which is the beginning of an event and thus never one of the words, of which some are zero.
  __atomic_store_n(event, first, __ATOMIC_RELEASE);
  w.cursor = at;
  w.last_time = now;
}

}  // namespace calltap::recorder
