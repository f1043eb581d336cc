// One thread's events as calls, while they happen.
//
// A gap ends all open calls, as lost: most go on behind it, but which ones did is known only for a recording
// that is read to its end. So a stack starts anew behind a gap, as it does when a running process is attached
// to, and the exits of calls from before it are orphaned.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

#include "trace/call_stack.h"
#include "trace/live_reader.h"

namespace calltap::export_ {

/// Open calls of all threads together. A target that never leaves its functions must not cost the tool its
/// memory.
inline constexpr std::size_t kMostFrames = std::size_t{4} << 20;

template <class Sink>
class LiveCalls {
 public:
  LiveCalls(Sink& sink, std::uint32_t function_count) : sink_(sink) { begin(function_count); }

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
    begin(function_count_);
    return true;
  }
  /// The thread is done with.
  void forget(std::size_t& frames_of_all) {
    frames_of_all -= counted_;
    counted_ = 0;
  }
  void add_functions(std::uint32_t function_count) {
    function_count_ = function_count;
    calls_->add_functions(function_count);
  }
  [[nodiscard]] const trace::CallStack<Sink>& stack() const { return *calls_; }
  [[nodiscard]] std::uint64_t last_time() const { return last_time_; }

 private:
  static constexpr std::size_t kFirst = 4096;

  void begin(std::uint32_t function_count) {
    function_count_ = function_count;
    calls_.emplace(sink_, function_count);
  }

  Sink& sink_;
  std::optional<trace::CallStack<Sink>> calls_;
  std::uint32_t function_count_ = 0;
  std::uint64_t last_time_ = 0;
  std::size_t counted_ = 0;
};

}  // namespace calltap::export_
