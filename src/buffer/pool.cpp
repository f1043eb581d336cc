#include "buffer/pool.h"

#include <bit>

#include "isa/system.h"

namespace calltap::buffer {

void Pool::begin_thread(std::uint32_t slot) const {
  ThreadSlot& t = thread(slot);
  t.incarnation.fetch_add(1, std::memory_order_relaxed);
  for (std::uint64_t& count : t.discarded) count = 0;
  t.packet_sequence = 0;
  t.packets_claimed.store(0, std::memory_order_relaxed);
  t.packets_released.store(0, std::memory_order_relaxed);
}

std::uint32_t Pool::claim_thread(std::uint32_t tid) const {
  for (std::uint32_t slot = 0; slot < kMaxThreads; ++slot) {
    ThreadSlot& t = thread(slot);
    std::uint32_t unused = 0;
    if (t.tid.load(std::memory_order_relaxed) == 0 &&
        t.tid.compare_exchange_strong(unused, tid, std::memory_order_acq_rel)) {
      begin_thread(slot);
      std::atomic<std::uint32_t>& used = control().slots_used;
      for (std::uint32_t now = used.load(); now <= slot && !used.compare_exchange_weak(now, slot + 1);) {
      }
      return slot;
    }
  }
  if (control().unattended == 0) return kNone;
  // Nobody collects those of ended threads. There are fewer packets than slots, so one has none left.
  for (std::uint32_t slot = 0; slot < kMaxThreads; ++slot) {
    ThreadSlot& t = thread(slot);
    std::uint32_t ended = 1;
    if (t.packets_claimed.load(std::memory_order_relaxed) !=
            t.packets_released.load(std::memory_order_relaxed) ||
        !t.ended.compare_exchange_strong(ended, 0, std::memory_order_acq_rel)) {
      continue;
    }
    t.tid.store(tid, std::memory_order_relaxed);
    begin_thread(slot);
    return slot;
  }
  return kNone;
}

std::uint32_t Pool::claim_packet(std::uint32_t slot) const {
  Control& c = control();
  const ThreadSlot& owner = thread(slot);
  if (has_its_share(owner)) return kNone;
  const std::uint32_t words = (c.packet_count + 63) / 64;
  for (std::uint32_t word = 0; word < words; ++word) {
    std::uint64_t bits = c.free_bits[word].load(std::memory_order_relaxed);
    while (bits != 0) {
      const std::uint64_t bit = bits & (~bits + 1);
      const std::uint64_t before = c.free_bits[word].fetch_and(~bit, std::memory_order_acquire);
      if ((before & bit) != 0) {
        const std::uint32_t index = word * 64 + static_cast<std::uint32_t>(std::countr_zero(bit));
        PacketDescriptor& d = descriptor(index);
        take(d, slot);
        d.state.store(static_cast<std::uint32_t>(PacketState::kWriting), std::memory_order_release);
        return index;
      }
      bits = before & ~bit;
    }
  }
  return kNone;
}

bool Pool::has_its_share(const ThreadSlot& owner) const {
  // Signed: a slot's next thread may be credited with a packet that was taken from the one before it.
  const auto held = static_cast<std::int32_t>(owner.packets_claimed.load(std::memory_order_relaxed) -
                                              owner.packets_released.load(std::memory_order_acquire));
  return held >= static_cast<std::int32_t>(control().packets_per_thread);
}

bool Pool::is_owner(std::uint32_t slot, const PacketDescriptor& d) const {
  return d.thread_slot.load(std::memory_order_relaxed) == slot &&
         d.incarnation.load(std::memory_order_relaxed) ==
             thread(slot).incarnation.load(std::memory_order_relaxed);
}

void Pool::take(PacketDescriptor& d, std::uint32_t slot) const {
  ThreadSlot& owner = thread(slot);
  d.thread_slot.store(slot, std::memory_order_relaxed);
  d.incarnation.store(owner.incarnation.load(std::memory_order_relaxed), std::memory_order_relaxed);
  owner.packets_claimed.store(owner.packets_claimed.load(std::memory_order_relaxed) + 1,
                              std::memory_order_relaxed);
}

std::uint32_t Pool::find_oldest(std::uint32_t slot, bool own_only) const {
  std::uint32_t oldest = kNone;
  std::uint32_t oldest_order = 0;
  const std::uint32_t count = control().packet_count;
  for (std::uint32_t i = 0; i < count; ++i) {
    const PacketDescriptor& d = descriptor(i);
    if (d.state.load(std::memory_order_relaxed) != static_cast<std::uint32_t>(PacketState::kFull)) continue;
    if (own_only && !is_owner(slot, d)) continue;
    const std::uint32_t order = d.kept_order.load(std::memory_order_relaxed);
    if (oldest != kNone && static_cast<std::int32_t>(order - oldest_order) >= 0) continue;
    oldest = i;
    oldest_order = order;
  }
  return oldest;
}

Pool::OldPacket Pool::claim_oldest(std::uint32_t slot) const {
  for (;;) {
    std::uint32_t index = has_its_share(thread(slot)) ? find_oldest(slot, true) : kNone;
    if (index == kNone) index = find_oldest(slot, false);
    if (index == kNone) return {};
    PacketDescriptor& d = descriptor(index);
    auto full = static_cast<std::uint32_t>(PacketState::kFull);
    if (!d.state.compare_exchange_strong(full, static_cast<std::uint32_t>(PacketState::kWriting),
                                         std::memory_order_acquire)) {
      continue;  // another thread was faster
    }
    const bool is_own = is_owner(slot, d);
    const std::uint32_t old_slot = d.thread_slot.load(std::memory_order_relaxed);
    if (is_owner(old_slot, d)) thread(old_slot).packets_released.fetch_add(1, std::memory_order_release);
    take(d, slot);
    return {index, is_own};
  }
}

void Pool::set_aside(std::uint32_t slot) const {
  thread(slot).packets_released.fetch_add(1, std::memory_order_relaxed);
}

void Pool::give_back(std::uint32_t index) const {
  Control& c = control();
  descriptor(index).state.store(static_cast<std::uint32_t>(PacketState::kFree), std::memory_order_relaxed);
  c.free_bits[index / 64].fetch_or(std::uint64_t{1} << (index % 64), std::memory_order_release);
  c.free_sequence.fetch_add(1, std::memory_order_seq_cst);
  if (c.waiters.load(std::memory_order_seq_cst) != 0) isa::futex_wake(&c.free_sequence, 1 << 30, true);
}

void Pool::keep_packet(std::uint32_t index) const {
  PacketDescriptor& d = descriptor(index);
  d.kept_order.store(control().queue_tail.fetch_add(1, std::memory_order_relaxed), std::memory_order_relaxed);
  d.state.store(static_cast<std::uint32_t>(PacketState::kFull), std::memory_order_release);
}

void Pool::queue_packet(std::uint32_t index) const {
  Control& c = control();
  descriptor(index).state.store(static_cast<std::uint32_t>(PacketState::kFull), std::memory_order_release);
  // In the order of tickets: the place was emptied before a packet was given back that has an earlier one.
  const std::uint32_t ticket = c.queue_tail.fetch_add(1, std::memory_order_acq_rel);
  queue(ticket).store(index + 1, std::memory_order_release);
  c.full_sequence.fetch_add(1, std::memory_order_seq_cst);
  if (c.tool_sleeps.load(std::memory_order_seq_cst) != 0) isa::futex_wake(&c.full_sequence, 1, true);
}

}  // namespace calltap::buffer
