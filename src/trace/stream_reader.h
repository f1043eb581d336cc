// One thread's events, packet by packet, with what is missing between them.
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>

#include "trace/event_cursor.h"
#include "trace/packet_reader.h"

namespace calltap::trace {

struct StreamCounts {
  std::uint64_t packets = 0;
  std::uint64_t events = 0;
  std::uint64_t lost_packets = 0;      // by gaps in the sequence
  std::uint64_t discarded_events = 0;  // as the last packet counted them
  std::uint64_t first_time = 0;        // ticks; both 0 when there is no packet
  std::uint64_t last_time = 0;
};

/// What happened between the previous packet and this one.
enum class Continuity {
  kUnbroken,
  kGap,        // packets or events are missing
  kTimeReset,  // a gap, and time starts again at an earlier value (damaged files only)
};

/// Move-only. One thread at a time.
class StreamReader {
 public:
  /// Functions numbered 1 ... function_count exist.
  StreamReader(const std::filesystem::path& file, const std::array<std::uint8_t, 16>& uuid,
               std::uint32_t function_count, std::size_t buffer_packets = PacketReader::kBufferPackets)
      : packets_(file, uuid, buffer_packets), function_count_(function_count) {}

  /// False at the end of the stream. Events of the current packet that were not read are passed over.
  bool next_packet();
  [[nodiscard]] Continuity continuity() const { return continuity_; }

  /// Calls `handle(event)` for every event of the current packet. Ends early at a damaged one, which is
  /// noted; the next packet then comes after a gap.
  template <class Handle>
  void each_event(Handle&& handle) {
    EventCursor cursor = cursor_;  // a local copy stays in registers
    Event event;
    std::uint64_t events = 0;
    while (cursor.next(event)) {
      handle(event);
      ++events;
    }
    cursor_ = cursor;
    finish_packet(events);
  }
  /// The same, one event at a time. False at the end of the packet.
  bool next_event(Event& event) {
    if (cursor_.next(event)) {
      ++counts_.events;
      counts_.last_time = event.time;
      return true;
    }
    finish_packet(0);
    return false;
  }

  /// Of the last event of a kind that has words, read with next_event(). Valid until next_packet().
  [[nodiscard]] const EventWords& words() const { return cursor_.words(); }

  [[nodiscard]] const StreamCounts& counts() const { return counts_; }
  [[nodiscard]] Damage damage() const;
  [[nodiscard]] std::uint64_t offset() const { return packets_.offset(); }
  /// Where the current packet begins, in ticks.
  [[nodiscard]] std::uint64_t packet_begin() const { return packet_.header.timestamp_begin; }
  /// Of the current packet.
  [[nodiscard]] std::uint32_t tid() const { return packet_.header.tid; }

 private:
  void finish_packet(std::uint64_t events);

  PacketReader packets_;
  std::uint32_t function_count_;
  Packet packet_;
  EventCursor cursor_;
  bool open_ = false;    // the current packet is not finished
  bool broken_ = false;  // its end is missing
  std::uint64_t next_sequence_ = 0;
  Continuity continuity_ = Continuity::kUnbroken;
  StreamCounts counts_;
  Damage damage_;
};

}  // namespace calltap::trace
