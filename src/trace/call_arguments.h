// The words of a kArguments event, apart from where they were read.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "event/arguments.h"
#include "trace/event_cursor.h"
#include "trace/live_reader.h"

namespace calltap::trace {

/// Untrusted: the layout may promise more registers than there are words.
struct CallArguments {
  std::uint32_t layout = 0;
  std::vector<std::uint64_t> words;

  [[nodiscard]] std::optional<std::uint64_t> integer(std::size_t index) const {
    if (index >= event::integers_of(layout) || index >= words.size()) return std::nullopt;
    return words[index];
  }
  [[nodiscard]] std::optional<std::uint64_t> floating(std::size_t index) const {
    const std::size_t at = event::integers_of(layout) + index;
    if (index >= event::floats_of(layout) || at >= words.size()) return std::nullopt;
    return words[at];
  }
};
using CallArgumentsPtr = std::shared_ptr<const CallArguments>;

inline CallArgumentsPtr copy_arguments(const EventWords& words) {
  auto copy = std::make_shared<CallArguments>();
  copy->layout = words.layout();
  for (std::uint32_t i = 0; i < words.size(); ++i) copy->words.push_back(words[i]);
  return copy;
}

/// Puts together the words that a LiveReader delivers in halves. One for each thread.
class LiveWords {
 public:
  /// To be called with every event. True: it was the last half of an event's words, kind() and words().
  bool add(const LiveEvent& event) {
    if (event.kind != LiveKind::kHalfWord) {
      kind_ = event.kind;
      function_ = event.function;
      halves_ = 0;
      words_.clear();
      return false;
    }
    const std::size_t half = halves_++;
    if (half == 0) {
      count_ = event.function;
    } else if (half == 1) {
      layout_ = event.function;
    } else if (half % 2 == 0) {
      words_.push_back(event.function);
    } else {
      words_.back() |= std::uint64_t{event.function} << 32;
    }
    return half >= 2 && half % 2 == 1 && words_.size() == count_;
  }
  [[nodiscard]] LiveKind kind() const { return kind_; }
  [[nodiscard]] std::uint32_t function() const { return function_; }
  [[nodiscard]] std::uint32_t layout() const { return layout_; }
  [[nodiscard]] const std::vector<std::uint64_t>& words() const { return words_; }

 private:
  LiveKind kind_ = LiveKind::kGap;
  std::uint32_t function_ = 0;
  std::uint32_t layout_ = 0;
  std::uint32_t count_ = 0;
  std::size_t halves_ = 0;
  std::vector<std::uint64_t> words_;
};

}  // namespace calltap::trace
