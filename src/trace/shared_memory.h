// The tool's side of the memory it shares with one target (buffer/shared_layout.h). The target may write
// anything into it at any time: every index is checked, every value read once.
#pragma once

#include <linux/futex.h>

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "buffer/pool.h"
#include "trace/description.h"

namespace calltap::trace {

/// One packet to write, one on its way to the file.
inline constexpr std::uint64_t kLeastBytesPerThread = 2 * event::kPacketBytes;

/// `bytes_per_thread` is from kLeastBytesPerThread to `bytes_in_total`.
struct BufferSettings {
  buffer::OnFull on_full = buffer::OnFull::kWait;
  std::uint64_t bytes_per_thread = std::uint64_t{8} << 20;
  std::uint64_t bytes_in_total = std::uint64_t{128} << 20;
};

/// A packet that is ready for the file. The bytes behind the header are still in shared memory.
struct ReadyPacket {
  std::uint32_t index = 0;
  std::uint32_t slot = 0;
  std::uint32_t incarnation = 0;
  event::PacketHeader header{};  // checked and completed
  const std::uint8_t* events = nullptr;
  std::uint32_t event_bytes = 0;
  bool full = true;  // nobody writes to it any more
};

/// What a thread slot says about its present user.
struct SlotView {
  std::uint32_t tid = 0;
  std::uint32_t incarnation = 0;
  bool ended = false;
  bool has_queued = false;  // packets that the tool has not taken yet; not in flight mode
  std::string name;
  DiscardCounts discarded{};
};

/// Owns the memfd and its mapping. One consumer thread.
class SharedMemory {
 public:
  /// Throws std::system_error.
  SharedMemory(const BufferSettings& settings, const std::array<std::uint8_t, 16>& uuid);
  /// A copy of some process's memory, as a snapshot is; takes the descriptor over. Throws std::system_error
  /// or std::runtime_error: it does not look like one.
  explicit SharedMemory(int fd);
  ~SharedMemory();
  SharedMemory(const SharedMemory&) = delete;
  SharedMemory& operator=(const SharedMemory&) = delete;

  [[nodiscard]] int fd() const { return fd_; }
  [[nodiscard]] const std::array<std::uint8_t, 16>& uuid() const { return uuid_; }
  /// Flight mode: no tool will collect slots of ended threads. Before the target has the memory.
  void leave_unattended() { pool_.control().unattended = 1; }
  [[nodiscard]] std::uint64_t bytes() const { return bytes_; }

  /// The next packet that the target has queued.
  std::optional<ReadyPacket> take_queued();
  /// Everything that is left once the target is gone, in order: queued, kept (flight mode) and unfinished
  /// packets.
  std::vector<ReadyPacket> take_rest();
  /// Gives a packet back to the target.
  void release(const ReadyPacket& packet);

  // For a tool that looks at packets while they are written, and so takes none from the queue.
  /// The packet as it is now, or nothing: it is free, or its writer has not begun. Of one that is not full
  /// event_bytes is the room that there is; the events in it are the words before the first one that is zero
  /// or all ones, if still_same() says so after they were read.
  [[nodiscard]] std::optional<ReadyPacket> look_at(std::uint32_t index) const;
  /// The packet was not given to another writer, or taken back by its own, since look_at().
  [[nodiscard]] bool still_same(const ReadyPacket& packet) const;
  /// release() of a packet that look_at() found full. Wipes it first: whoever looks at it later sees nothing
  /// of what was in it, in whatever order its next writer's stores become visible.
  void recycle(const ReadyPacket& packet);

  /// Wakes threads that wait for a free packet, if any was released since the last call.
  void announce_released();

  /// No slot from this one on was ever used.
  [[nodiscard]] std::uint32_t slots_used() const;
  [[nodiscard]] SlotView slot(std::uint32_t index) const;
  /// Slots of ended threads are free for new ones after this.
  void free_slot(std::uint32_t index);
  [[nodiscard]] std::uint32_t packet_count() const { return packet_count_; }
  /// Whose packets the memory holds: slot and incarnation, some more than once.
  [[nodiscard]] std::vector<std::pair<std::uint32_t, std::uint32_t>> packet_owners() const;

  /// Ends recording in the target: from now on events are counted under this reason.
  void stop(event::DiscardReason reason);
  [[nodiscard]] std::uint64_t slotless_discarded() const;
  /// Flight mode: events that were overwritten by other threads than their own.
  [[nodiscard]] std::uint64_t overwritten() const;

  /// Sleeps until the target queues a packet, or end_wait() is called, at most this long; not at all when
  /// `unless` is set.
  void wait(std::uint64_t timeout_ns, const std::atomic<bool>& unless);
  /// From another thread: what wait() looks at has been set.
  void end_wait();
  /// For the target the tool lives until the calling thread, its consumer, ends: the kernel tells it, also of
  /// SIGKILL, and whether or not anybody waits for the tool. Once, by a thread that this object outlives.
  void tie_life_to_thread();
  /// Blocks until another thread has called tie_life_to_thread().
  void wait_until_tied() const;

 private:
  std::optional<ReadyPacket> check(std::uint32_t index, bool finished) const;
  [[nodiscard]] const buffer::PacketDescriptor& descriptor(std::uint32_t index) const {
    return reinterpret_cast<const buffer::PacketDescriptor*>(memory_ +
                                                             buffer::states_offset(packet_count_))[index];
  }
  [[nodiscard]] std::uint8_t* packet_bytes(std::uint32_t index) const {
    return memory_ + buffer::packets_offset(packet_count_) + std::uint64_t{index} * event::kPacketBytes;
  }

  int fd_ = -1;
  std::uint64_t bytes_ = 0;
  std::uint8_t* memory_ = nullptr;
  std::uint32_t packet_count_ = 0;
  std::array<std::uint8_t, 16> uuid_{};
  std::uint32_t ticket_ = 0;
  bool released_ = false;
  robust_list_head robust_{};
  robust_list robust_entry_{};
  buffer::Pool pool_;
};

/// Number of events, and the time of the last one, in the bytes behind a packet header.
struct EventSpan {
  std::uint64_t events = 0;
  std::uint64_t last_time = 0;
  std::uint32_t bytes = 0;  // up to the first word that is no event
};
EventSpan scan_events(const std::uint8_t* events, std::uint32_t bytes, std::uint64_t begin_time);

}  // namespace calltap::trace
