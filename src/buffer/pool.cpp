#include "buffer/pool.h"

#include <bit>

#include "isa/system.h"

namespace calltap::buffer {

std::uint32_t Pool::claim_thread(std::uint32_t tid) const {
  for (std::uint32_t slot = 0; slot < kMaxThreads; ++slot) {
    ThreadSlot& t = thread(slot);
    std::uint32_t unused = 0;
    if (t.tid.load(std::memory_order_relaxed) == 0 &&
        t.tid.compare_exchange_strong(unused, tid, std::memory_order_acq_rel)) {
      t.incarnation.fetch_add(1, std::memory_order_relaxed);
      for (std::uint64_t& count : t.discarded) count = 0;
      t.packet_sequence = 0;
      t.packets_claimed.store(0, std::memory_order_relaxed);
      t.packets_released.store(0, std::memory_order_relaxed);
      std::atomic<std::uint32_t>& used = control().slots_used;
      for (std::uint32_t now = used.load(); now <= slot && !used.compare_exchange_weak(now, slot + 1);) {
      }
      return slot;
    }
  }
  return kNone;
}

std::uint32_t Pool::claim_packet(std::uint32_t slot) const {
  Control& c = control();
  ThreadSlot& owner = thread(slot);
  const std::uint32_t claimed = owner.packets_claimed.load(std::memory_order_relaxed);
  if (claimed - owner.packets_released.load(std::memory_order_acquire) >= c.packets_per_thread) return kNone;
  const std::uint32_t words = (c.packet_count + 63) / 64;
  for (std::uint32_t word = 0; word < words; ++word) {
    std::uint64_t bits = c.free_bits[word].load(std::memory_order_relaxed);
    while (bits != 0) {
      const std::uint64_t bit = bits & (~bits + 1);
      const std::uint64_t before = c.free_bits[word].fetch_and(~bit, std::memory_order_acquire);
      if ((before & bit) != 0) {
        const std::uint32_t index = word * 64 + static_cast<std::uint32_t>(std::countr_zero(bit));
        PacketDescriptor& d = descriptor(index);
        d.thread_slot = slot;
        d.incarnation = owner.incarnation.load(std::memory_order_relaxed);
        owner.packets_claimed.store(claimed + 1, std::memory_order_relaxed);
        d.state.store(static_cast<std::uint32_t>(PacketState::kWriting), std::memory_order_release);
        return index;
      }
      bits = before & ~bit;
    }
  }
  return kNone;
}

void Pool::queue_packet(std::uint32_t index) const {
  Control& c = control();
  descriptor(index).state.store(static_cast<std::uint32_t>(PacketState::kFull), std::memory_order_release);
  const std::uint32_t ticket = c.queue_tail.fetch_add(1, std::memory_order_relaxed);
  queue(ticket).store(index + 1, std::memory_order_release);
  c.full_sequence.fetch_add(1, std::memory_order_seq_cst);
  if (c.tool_sleeps.load(std::memory_order_seq_cst) != 0) isa::futex_wake(&c.full_sequence, 1, true);
}

}  // namespace calltap::buffer
