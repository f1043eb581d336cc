// The sink behind `report`: sums the calls of each function, in ticks.
#pragma once

#include <algorithm>
#include <vector>

#include "export/report.h"
#include "trace/call_stack.h"

namespace calltap::export_ {

class FunctionTimesSink {
 public:
  struct FrameData {};
  using Frame = trace::CallStack<FunctionTimesSink>::Frame;

  explicit FunctionTimesSink(std::uint32_t function_count) : times_(std::size_t{function_count} + 1) {}

  void entered(Frame&, const Frame&, const Frame*) {}
  void left(const Frame& frame, const trace::CallSpan& span) {
    FunctionTimes& t = times_[frame.function];
    t.total += span.outermost ? span.duration - span.counted : 0;
    t.self += span.self;
    if (frame.resumed) [[unlikely]]
      return;  // counted with its first part
    ++t.calls;
    if (span.how > trace::CallEnd::kUnwound) [[unlikely]] {
      ++t.incomplete;
      return;
    }
    t.sum += span.duration;
    t.min = std::min(t.min, span.duration);
    t.max = std::max(t.max, span.duration);
  }
  void orphaned(std::uint32_t, std::uint64_t, trace::CallEnd) {}

  /// Never fewer than before.
  void add_functions(std::uint32_t function_count) { times_.resize(std::size_t{function_count} + 1); }
  /// By function id.
  [[nodiscard]] const std::vector<FunctionTimes>& times() const { return times_; }
  void clear() { std::fill(times_.begin(), times_.end(), FunctionTimes{}); }

 private:
  std::vector<FunctionTimes> times_;
};

}  // namespace calltap::export_
