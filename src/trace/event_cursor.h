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
  event::EventId id = event::EventId::kNone;  // kEntry ... kStack
  std::uint32_t function = 0;                 // 1 ... function count
  std::uint64_t time = 0;                     // ticks
};

/// The data behind an event. Valid as long as its packet.
class EventWords {
 public:
  EventWords() = default;
  EventWords(const std::byte* words, std::uint32_t count, std::uint32_t layout)
      : words_(words), count_(count), layout_(layout) {}

  /// What the words are: of the event's kind.
  [[nodiscard]] std::uint32_t layout() const { return layout_; }
  [[nodiscard]] std::uint32_t size() const { return count_; }
  [[nodiscard]] std::uint64_t operator[](std::uint32_t index) const {
    std::uint64_t word;
    std::memcpy(&word, words_ + std::size_t{index} * sizeof word, sizeof word);
    return word;
  }

 private:
  const std::byte* words_ = nullptr;
  std::uint32_t count_ = 0;
  std::uint32_t layout_ = 0;
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
    if (id - 1 > 2) [[unlikely]] {
      if (!read_words(static_cast<event::EventId>(id), at_ + size)) return stop(DamageKind::kBadEvent);
      size += (std::size_t{1} + words_.size()) * sizeof(std::uint64_t);
    }
    if (function - 1 >= function_count_) [[unlikely]]
      return stop(DamageKind::kUnknownFunction);
    at_ += size;
    time_ = time;
    out = {static_cast<event::EventId>(id), function, time};
    return true;
  }

  /// Of the last event of a kind that has words.
  [[nodiscard]] const EventWords& words() const { return words_; }
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
  /// False: the event is of another kind, or ends behind the packet.
  [[gnu::cold]] [[gnu::noinline]] bool read_words(event::EventId id, const std::byte* from) {
    if (!event::has_words(id) || end_ - from < static_cast<std::ptrdiff_t>(sizeof(std::uint64_t)))
      return false;
    const std::uint64_t header = load(from);
    const auto count = static_cast<std::uint32_t>(header);
    const auto words = static_cast<std::size_t>(end_ - from) / sizeof header - 1;
    if (count == 0 || count > event::kMaxWords || count > words) return false;
    words_ = {from + sizeof header, count, static_cast<std::uint32_t>(header >> 32)};
    return true;
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
  EventWords words_;
  bool damaged_ = false;
  DamageKind damage_ = DamageKind::kBadEvent;
};

}  // namespace calltap::trace
