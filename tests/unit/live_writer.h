// A thread of a target that writes its events into shared memory as the recorder does, step by step, so that
// tests can look between the steps.
#pragma once

#include <cstdint>
#include <vector>

#include "buffer/pool.h"

namespace calltap::test {

/// Maps the memory of a trace::SharedMemory a second time, as the target does.
class TargetMemory {
 public:
  TargetMemory(int fd, std::uint64_t bytes);
  ~TargetMemory();
  TargetMemory(const TargetMemory&) = delete;
  TargetMemory& operator=(const TargetMemory&) = delete;

  [[nodiscard]] buffer::Pool pool() const { return buffer::Pool(memory_); }
  [[nodiscard]] std::uint64_t* words() const { return static_cast<std::uint64_t*>(memory_); }

 private:
  void* memory_;
  std::uint64_t bytes_;
};

class LiveWriter {
 public:
  LiveWriter(buffer::Pool pool, std::uint32_t tid, const char* name = "thread");

  LiveWriter& entry(std::uint32_t function, std::uint64_t time) {
    return event(event::EventId::kEntry, function, time);
  }
  LiveWriter& exit(std::uint32_t function, std::uint64_t time) {
    return event(event::EventId::kExit, function, time);
  }
  /// Discarded and counted when there is no packet.
  LiveWriter& event(event::EventId id, std::uint32_t function, std::uint64_t time);
  LiveWriter& word(std::uint64_t word);
  /// In a packet that has room for it.
  LiveWriter& with_words(event::EventId id, std::uint32_t function, std::uint64_t time, std::uint32_t layout,
                         const std::vector<std::uint64_t>& words);
  void discard(event::DiscardReason reason, std::uint64_t events);

  bool open(std::uint64_t time);
  /// Completes the packet.
  void close();
  void queue() { pool_.queue_packet(packet_); }
  /// close(), and the packet's events go to another packet, which is to be queued. False: there is none, and
  /// they are discarded.
  bool move();
  /// The place that it was moved from is free again.
  void give_back();
  void close_and_queue() {
    close();
    queue();
  }
  void end();

  [[nodiscard]] std::uint32_t slot() const { return slot_; }
  [[nodiscard]] std::uint32_t packet() const { return packet_; }
  [[nodiscard]] bool has_packet() const { return cursor_ != nullptr; }

 private:
  void put(std::uint64_t word) { __atomic_store_n(cursor_++, word, __ATOMIC_RELEASE); }
  [[nodiscard]] std::uint64_t total_discarded() const;

  buffer::Pool pool_;
  std::uint32_t slot_;
  std::uint32_t packet_ = 0;
  std::uint32_t aside_ = buffer::Pool::kNone;
  std::uint64_t* cursor_ = nullptr;
  std::uint64_t* sentinel_ = nullptr;
  std::uint64_t time_ = 0;
};

}  // namespace calltap::test
