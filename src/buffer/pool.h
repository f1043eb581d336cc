// The target's side of the shared memory: claim a free packet, queue a full one, or keep and overwrite it.
#pragma once

#include <cstdint>

#include "buffer/shared_layout.h"

namespace calltap::buffer {

/// A view of the mapped memory, after the tool has filled in Control. Copyable; all functions are safe from
/// any thread and signal-safe, and make no system call except where they say so.
class Pool {
 public:
  Pool() = default;
  explicit Pool(void* memory) : base_(static_cast<std::uint8_t*>(memory)) {}

  explicit operator bool() const { return base_ != nullptr; }
  [[nodiscard]] Control& control() const { return *reinterpret_cast<Control*>(base_); }
  [[nodiscard]] ThreadSlot& thread(std::uint32_t slot) const {
    return reinterpret_cast<ThreadSlot*>(base_ + kThreadSlotsOffset)[slot];
  }
  [[nodiscard]] PacketDescriptor& descriptor(std::uint32_t index) const {
    return reinterpret_cast<PacketDescriptor*>(base_ + states_offset(control().packet_count))[index];
  }
  [[nodiscard]] std::uint8_t* packet(std::uint32_t index) const {
    return base_ + control().packets_offset + std::uint64_t{index} * event::kPacketBytes;
  }
  [[nodiscard]] event::PacketHeader& header(std::uint32_t index) const {
    return *reinterpret_cast<event::PacketHeader*>(packet(index));
  }

  static constexpr std::uint32_t kNone = ~std::uint32_t{0};

  /// A thread slot for `tid`, or kNone when all are taken.
  [[nodiscard]] std::uint32_t claim_thread(std::uint32_t tid) const;
  /// A free packet, now in state kWriting and owned by the slot, or kNone: the pool is empty, or the thread
  /// has as many as it may.
  [[nodiscard]] std::uint32_t claim_packet(std::uint32_t slot) const;
  struct OldPacket {
    std::uint32_t index = kNone;
    bool is_own = false;  // the thread wrote it itself
  };
  /// Flight mode: a full packet to overwrite, now in state kWriting and owned by the slot, with its events
  /// still in it. A thread that has as many packets as it may gets the oldest of its own, any other the
  /// oldest of all, also of threads that have ended. kNone: no packet is full. Reads all descriptors.
  [[nodiscard]] OldPacket claim_oldest(std::uint32_t slot) const;
  /// The packet, in state kWriting, no longer counts as one of the thread's share.
  void set_aside(std::uint32_t slot) const;
  /// Makes a packet that was set aside free. Wakes those that wait for one (a system call then).
  void give_back(std::uint32_t index) const;
  /// Hands a packet to the tool and wakes it if it sleeps (a system call then).
  void queue_packet(std::uint32_t index) const;
  /// Flight mode: the packet is full, and kept until it is the oldest.
  void keep_packet(std::uint32_t index) const;

 private:
  [[nodiscard]] std::atomic<std::uint32_t>& queue(std::uint32_t ticket) const {
    return reinterpret_cast<std::atomic<std::uint32_t>*>(base_ +
                                                         kQueueOffset)[ticket % control().packet_count];
  }

  void begin_thread(std::uint32_t slot) const;
  [[nodiscard]] bool has_its_share(const ThreadSlot& owner) const;
  [[nodiscard]] bool is_owner(std::uint32_t slot, const PacketDescriptor& d) const;
  [[nodiscard]] std::uint32_t find_oldest(std::uint32_t slot, bool own_only) const;
  void take(PacketDescriptor& d, std::uint32_t slot) const;

  std::uint8_t* base_ = nullptr;
};

}  // namespace calltap::buffer
