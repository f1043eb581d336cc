#include "trace/stream_reader.h"

#include <algorithm>

namespace calltap::trace {

bool StreamReader::next_packet() {
  const Damage before = packets_.damage();
  if (!packets_.next(packet_)) return false;
  const event::PacketHeader& header = packet_.header;
  const bool first = counts_.packets == 0;
  // Bytes that were skipped were packets.
  bool gap = broken_ || packets_.damage().bytes_skipped != before.bytes_skipped;
  if (header.sequence > next_sequence_) {
    counts_.lost_packets += header.sequence - next_sequence_;
    gap = true;
  } else if (header.sequence < next_sequence_) {
    damage_.note(DamageKind::kSequence);
    gap = true;
  }
  next_sequence_ = header.sequence + 1;
  gap = gap || header.discarded != counts_.discarded_events;
  continuity_ = gap ? Continuity::kGap : Continuity::kUnbroken;
  if (!first && header.timestamp_begin < counts_.last_time) {
    damage_.note(DamageKind::kTimeBackwards);
    continuity_ = Continuity::kTimeReset;
  }
  if (first) counts_.first_time = header.timestamp_begin;
  counts_.discarded_events = header.discarded;
  ++counts_.packets;
  cursor_ = EventCursor(packet_.events, header.timestamp_begin, function_count_);
  open_ = true;
  broken_ = packet_.events.size() + sizeof header < header.content_bits / 8;
  return true;
}

void StreamReader::finish_packet(std::uint64_t events) {
  if (!open_) return;
  open_ = false;
  counts_.events += events;
  counts_.last_time = cursor_.time();
  if (cursor_.damaged()) {
    damage_.note(cursor_.damage(), cursor_.bytes_left());
    broken_ = true;
  } else if (cursor_.time() > packet_.header.timestamp_end) {
    damage_.note(DamageKind::kTimeBackwards);
    broken_ = true;
  } else if (!broken_) {
    counts_.last_time = packet_.header.timestamp_end;
  }
}

Damage StreamReader::damage() const {
  Damage all = packets_.damage();
  all.add(damage_);
  return all;
}

}  // namespace calltap::trace
