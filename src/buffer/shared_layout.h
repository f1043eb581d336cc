// The memory that a target and the tool share: packets, who owns them, and what was lost. This header is the
// whole contract; kVersion changes with it.
//
// The tool makes one memfd per process, sealed against shrinking and growing, and passes it over the
// session's socket.
//
//   0                   Control
//   kThreadSlotsOffset  ThreadSlot[kMaxThreads]
//   kQueueOffset        queue: u32 slots[packet_count], ticket order; 0 = empty, else packet index + 1
//   kStatesOffset       PacketState[packet_count]
//   packets_offset      packets, kPacketBytes each
//
// Life of a packet:   free --writer claims--> writing --writer queues--> full --tool wrote it--> free
//   in flight mode:   free --writer claims--> writing --writer keeps--> full --any writer claims--> writing
//   set aside:        writing --the writer needed none of it in the end--> free
// Only the writer moves a packet out of `free` and `writing`, only the tool out of `full`. In flight mode the
// queue is not used, and the tool takes packets only once the target is gone.
//
// Everything here is written by the target and therefore untrusted input to the tool: indices are checked,
// values are read once.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "event/event_layout.h"

namespace calltap::buffer {

inline constexpr std::uint32_t kMagic = 0x50415443;  // "CTAP"
inline constexpr std::uint32_t kVersion = 5;
inline constexpr std::size_t kMaxThreads = 4096;
inline constexpr std::size_t kMaxPackets = 65536;

enum class OnFull : std::uint32_t { kWait, kDiscard, kFlight };

enum class PacketState : std::uint32_t { kFree, kWriting, kFull };

struct PacketDescriptor {
  std::atomic<std::uint32_t> state;
  std::atomic<std::uint32_t> thread_slot;  // valid while not free
  std::atomic<std::uint32_t> incarnation;  // of the thread slot
  std::uint32_t content_bytes;             // valid while full; set aside: index + 1 of the next one
  std::atomic<std::uint32_t> kept_order;  // flight mode, while full: the oldest has the smallest, modulo 2^32
};
static_assert(sizeof(PacketDescriptor) == 20);

/// One writer thread. Slots are reused: `incarnation` tells the stream of one thread from that of the next.
struct alignas(128) ThreadSlot {
  std::atomic<std::uint32_t> tid;                   // 0 = free; set by the thread, cleared by the tool
  std::atomic<std::uint32_t> incarnation;           // which use of this slot
  std::atomic<std::uint32_t> ended;                 // 1: the thread is gone, the tool may collect the slot
  std::atomic<std::uint32_t> packets_claimed;       // by the thread, in this incarnation
  std::atomic<std::uint32_t> packets_released;      // of those, given back by the tool or overwritten
  std::uint64_t first_time;                         // ticks at registration
  std::uint64_t discarded[event::kDiscardReasons];  // of this incarnation, written by the thread alone
  std::uint64_t packet_sequence;                    // next packet's number
  char name[16];                                    // comm at registration
};
static_assert(sizeof(ThreadSlot) == 128);

struct alignas(64) Control {
  std::uint32_t magic;
  std::uint32_t version;
  OnFull on_full;
  std::uint32_t packet_count;
  std::uint32_t packets_per_thread;
  std::uint32_t
      unattended;  // 1: flight mode without a tool, and slots of ended threads are the target's to reuse
  std::uint8_t uuid[16];
  std::uint64_t packets_offset;

  // Written by the tool; the first also by a writer that gives a packet back.
  alignas(64) std::atomic<std::uint32_t> free_sequence;  // futex: bumped when packets were freed
  std::atomic<std::uint32_t>
      stopped;  // discard reason + 1 once recording has ended (size limit, write error)
  // Futex word, of the kernel's robust list: id of the tool's thread that takes packets, with
  // FUTEX_OWNER_DIED once that has ended, however it did.
  std::atomic<std::uint32_t> tool_life;

  // Written by the target.
  alignas(64) std::atomic<std::uint32_t> queue_tail;          // tickets given out (flight mode: packets kept)
  alignas(64) std::atomic<std::uint32_t> full_sequence;       // futex: bumped when a packet was queued
  std::atomic<std::uint32_t> tool_sleeps;                     // the tool asks to be woken
  std::atomic<std::uint32_t> waiters;                         // threads asleep on free_sequence
  std::atomic<std::uint32_t> slots_used;                      // no thread slot from here on was ever used
  alignas(64) std::atomic<std::uint64_t> slotless_discarded;  // events of threads that found no slot
  std::atomic<std::uint64_t> overwritten;                     // flight mode: by other threads than their own

  // Free packets, one bit each: set = free.
  alignas(64) std::atomic<std::uint64_t> free_bits[kMaxPackets / 64];
};

inline constexpr std::size_t kThreadSlotsOffset = (sizeof(Control) + 4095) / 4096 * 4096;
inline constexpr std::size_t kQueueOffset = kThreadSlotsOffset + kMaxThreads * sizeof(ThreadSlot);

constexpr std::size_t states_offset(std::size_t packet_count) {
  return kQueueOffset + (packet_count * sizeof(std::uint32_t) + 63) / 64 * 64;
}
constexpr std::size_t packets_offset(std::size_t packet_count) {
  return (states_offset(packet_count) + packet_count * sizeof(PacketDescriptor) + 4095) / 4096 * 4096;
}
constexpr std::size_t total_bytes(std::size_t packet_count) {
  return packets_offset(packet_count) + packet_count * event::kPacketBytes;
}

}  // namespace calltap::buffer
