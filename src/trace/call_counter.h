// Counts the calls of a process's functions while they are recorded: in packets on their way to the file, and
// in those that are still being written.
//
// Durations are for comparing functions with each other: a call whose entry or exit was not seen has none.
#pragma once

#include <cstdint>
#include <vector>

#include "trace/shared_memory.h"

namespace calltap::trace {

struct CountedCalls {
  std::uint32_t function = 0;
  std::uint64_t calls = 0;  // that began
  std::uint64_t ended = 0;  // calls that `ticks` is of
  std::uint64_t ticks = 0;  // from entry to exit
};

/// The consumer's thread of the memory.
class CallCounter {
 public:
  /// A packet that its writer has finished, each thread's in order.
  void take(const ReadyPacket& packet);
  /// What threads have written so far into packets that they have not finished.
  void look(const SharedMemory& memory);

  /// What came since the last time. Valid until the next call of any member.
  [[nodiscard]] const std::vector<CountedCalls>& collect();
  /// Events of functions that cannot be.
  [[nodiscard]] std::uint64_t calls_of_nothing() const { return of_nothing_; }
  /// Since the beginning.
  [[nodiscard]] std::uint64_t calls_of(std::uint32_t function) const {
    return function < all_.size() ? all_[function] : 0;
  }

 private:
  struct Open {
    std::uint32_t function;
    std::uint64_t time;
  };
  /// A thread's: which packet is next, and how much of it was read.
  struct Stream {
    bool is_used = false;
    std::uint32_t incarnation = 0;
    std::uint64_t sequence = 0;
    std::uint32_t offset = 0;
    std::uint64_t time = 0;
    std::vector<Open> open;
  };

  Stream& stream_of(const ReadyPacket& packet);
  [[nodiscard]] const Stream* find(const ReadyPacket& packet) const;
  void read(Stream& stream, const std::uint8_t* events, std::uint32_t bytes);
  void enter(Stream& stream, std::uint32_t function);
  void leave(Stream& stream, std::uint32_t function);
  CountedCalls* counts_of(std::uint32_t function);

  std::vector<Stream> streams_;       // by slot
  std::vector<std::uint32_t> place_;  // in counts_, + 1; by function
  std::vector<CountedCalls> counts_;
  std::vector<CountedCalls> collected_;
  std::vector<std::uint64_t> all_;
  std::vector<std::uint8_t> copy_;
  std::uint64_t of_nothing_ = 0;
};

}  // namespace calltap::trace
