// One thread's events as calls, while they happen.
//
// A gap ends all open calls, as lost: most go on behind it, but which ones did is known only for a recording
// that is read to its end. So a stack starts anew behind a gap, as it does when a running process is attached
// to, and the exits of calls from before it are orphaned.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "trace/call_stack.h"
#include "trace/live_reader.h"

namespace calltap::export_ {

/// Open calls of all threads together. A target that never leaves its functions must not cost the tool its
/// memory.
inline constexpr std::size_t kMostFrames = std::size_t{4} << 20;

/// trace::LatestFrames for many threads and functions that come while they run: as large as there are open
/// calls.
class LatestLiveFrames {
 public:
  explicit LatestLiveFrames(std::uint32_t) : places_(kFirst) {}

  std::uint32_t& operator[](std::uint32_t function) {
    for (std::size_t at = hash(function);; ++at) {
      Place& place = places_[at & (places_.size() - 1)];
      if (place.function == function) [[likely]]
        return place.frame;
      if (place.function == 0) return add(function);
    }
  }

 private:
  struct Place {
    std::uint32_t function = 0;
    std::uint32_t frame = 0;
  };
  static constexpr std::size_t kFirst = 64;  // a power of two, as all sizes

  static std::size_t hash(std::uint32_t function) { return function * std::size_t{0x9e3779b1}; }

  std::uint32_t& add(std::uint32_t function) {
    if (2 * ++used_ > places_.size()) make_room();
    std::size_t at = hash(function);
    while (places_[at & (places_.size() - 1)].function != 0) ++at;
    Place& place = places_[at & (places_.size() - 1)];
    place.function = function;
    return place.frame;
  }
  /// Functions without an open frame go.
  [[gnu::noinline]] void make_room() {
    std::vector<Place> kept;
    for (const Place& place : places_) {
      if (place.frame != 0) kept.push_back(place);
    }
    std::size_t size = kFirst;
    while (size < 4 * (kept.size() + 1)) size *= 2;
    // Of a size that was right for long, rather than one that is too small soon.
    places_.assign(std::max(size, std::min<std::size_t>(places_.size() * 2, kRoomy)), Place{});
    for (const Place& place : kept) {
      std::size_t at = hash(place.function);
      while (places_[at & (places_.size() - 1)].function != 0) ++at;
      places_[at & (places_.size() - 1)] = place;
    }
    used_ = kept.size() + 1;
  }
  static constexpr std::size_t kRoomy = 4096;

  std::vector<Place> places_;  // open addressing
  std::size_t used_ = 0;       // places with a function, which may have no frame any more
};

template <class Sink>
class LiveCalls {
 public:
  using Stack = trace::CallStack<Sink, LatestLiveFrames>;

  explicit LiveCalls(Sink& sink) : sink_(sink) { begin(); }

  /// Events of one thread. `frames` is of all threads; where there are too many of them, this thread starts
  /// anew.
  void apply(const trace::LiveEvent& event) {
    using trace::CallEnd;
    last_time_ = event.time;
    switch (event.kind) {
      case trace::LiveKind::kEntry:
        calls_->entry(event.function, event.time);
        return;
      case trace::LiveKind::kExit:
        calls_->exit(event.function, event.time, CallEnd::kReturned);
        return;
      case trace::LiveKind::kUnwound:
        calls_->exit(event.function, event.time, CallEnd::kUnwound);
        return;
      case trace::LiveKind::kGap:
      case trace::LiveKind::kArguments:
      case trace::LiveKind::kStack:
      case trace::LiveKind::kHalfWord:
        return;
    }
  }
  /// All open calls are lost; the time is that of the last event.
  void break_off() { calls_->close_all(last_time_); }
  /// After some events. True: there were too many open calls in all threads, and this one's were broken off.
  bool bound(std::size_t& frames_of_all) {
    const std::size_t now = calls_->frames_in_memory();
    frames_of_all += now - counted_;
    counted_ = now;
    if (frames_of_all <= kMostFrames || now <= kFirst) return false;
    break_off();
    forget(frames_of_all);
    begin();
    return true;
  }
  /// The thread is done with.
  void forget(std::size_t& frames_of_all) {
    frames_of_all -= counted_;
    counted_ = 0;
  }
  [[nodiscard]] const Stack& stack() const { return *calls_; }
  [[nodiscard]] std::uint64_t last_time() const { return last_time_; }

 private:
  static constexpr std::size_t kFirst = 256;  // frames that any stack has

  void begin() { calls_.emplace(sink_, 0U); }

  Sink& sink_;
  std::optional<Stack> calls_;
  std::uint64_t last_time_ = 0;
  std::size_t counted_ = 0;
};

}  // namespace calltap::export_
