// Decodes the events of one packet. Header-only: this is the inner loop of every report.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

#include "event/event_layout.h"
#include "trace/damage.h"

namespace calltap::trace {

struct Event {
  event::EventId id = event::EventId::kNone;  // kEntry, kExit or kUnwound
  std::uint32_t function = 0;                 // 1 ... function count
  std::uint64_t time = 0;                     // ticks
};

class EventCursor {
 public:
  EventCursor() = default;
  /// `events` are whole 8-byte words; `time` is the packet's timestamp_begin.
  EventCursor(std::span<const std::byte> events, std::uint64_t time, std::uint32_t function_count)
      : at_(events.data()),
        end_(events.data() + events.size()),
        time_(time),
        function_count_(function_count) {}

  /// False at the end and at an event that cannot be: damaged() tells which.
  [[gnu::always_inline]] bool next(Event& out) {
    if (at_ == end_) return false;
    const std::uint64_t word = load(at_);
    auto id = static_cast<std::uint32_t>(word & ((1U << event::kIdBits) - 1));
    auto function = static_cast<std::uint32_t>(word >> 32);
    std::uint64_t time = time_ + (((word >> event::kIdBits) - time_) & event::kTimeMask);
    std::size_t size = event::kCompactBytes;
    if (id == static_cast<std::uint32_t>(event::EventId::kExtended)) [[unlikely]] {
      if (end_ - at_ < static_cast<std::ptrdiff_t>(event::kExtendedBytes)) return stop(DamageKind::kBadEvent);
      const std::uint64_t high = load(at_ + event::kCompactBytes);
      id = static_cast<std::uint32_t>(word) >> event::kIdBits;
      function = static_cast<std::uint32_t>(high >> 32);
      time = word >> 32 | high << 32;
      size = event::kExtendedBytes;
      if (time < time_) return stop(DamageKind::kTimeBackwards);
    }
    if (id - 1 > 2) [[unlikely]]
      return stop(DamageKind::kBadEvent);
    if (function - 1 >= function_count_) [[unlikely]]
      return stop(DamageKind::kUnknownFunction);
    at_ += size;
    time_ = time;
    out = {static_cast<event::EventId>(id), function, time};
    return true;
  }

  [[nodiscard]] bool damaged() const { return damaged_; }
  [[nodiscard]] DamageKind damage() const { return damage_; }
  [[nodiscard]] std::size_t bytes_left() const { return static_cast<std::size_t>(end_ - at_); }
  /// Of the last event, or where the packet begins.
  [[nodiscard]] std::uint64_t time() const { return time_; }

 private:
  static std::uint64_t load(const std::byte* from) {
    std::uint64_t word;
    std::memcpy(&word, from, sizeof word);
    return word;
  }
  [[gnu::cold]] bool stop(DamageKind kind) {
    damaged_ = true;
    damage_ = kind;
    return false;
  }

  const std::byte* at_ = nullptr;
  const std::byte* end_ = nullptr;
  std::uint64_t time_ = 0;
  std::uint32_t function_count_ = 0;
  bool damaged_ = false;
  DamageKind damage_ = DamageKind::kBadEvent;
};

}  // namespace calltap::trace
