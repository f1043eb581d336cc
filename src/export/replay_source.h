// One thread's calls as lines of the function_graph view, in the order of time.
#pragma once

#include <algorithm>
#include <cstdint>
#include <deque>
#include <optional>
#include <vector>

#include "export/backtrace.h"
#include "trace/call_arguments.h"
#include "trace/call_stack.h"
#include "trace/session.h"
#include "trace/tick_clock.h"

namespace calltap::export_ {

struct ReplayLine {
  enum class Kind : std::uint8_t { kOpen, kClose, kLeaf, kGap, kStack };
  Kind kind = Kind::kOpen;
  trace::CallEnd end = trace::CallEnd::kReturned;
  bool orphaned = false;  // a close whose entry is not in the trace: no duration
  bool partial = false;   // only a part of the call is in the trace: no duration
  std::uint32_t function = 0;
  std::uint32_t depth = 0;
  std::uint64_t time = 0;                       // ticks
  std::uint64_t duration = 0;                   // ticks; of closes and leaves
  trace::CallArgumentsPtr arguments = nullptr;  // of opens and leaves, if they were recorded
  BacktracePtr backtrace = nullptr;             // the same; with kStack, of a call that is not shown
};

struct ReplayLimits {
  std::vector<bool> selected;      // by function id: show only these and what they call; empty = all
  std::uint32_t max_depth = 0;     // levels shown, 0 = all
  std::uint64_t min_duration = 0;  // ticks
};

/// Turns calls into lines. An entry is held back until it is known whether it is a leaf, and with a minimum
/// duration until it is known to last that long; what is held back is at most the calls that are open.
class ReplayLines {
 public:
  struct FrameData {
    std::uint64_t serial = 0;
    std::uint32_t level = 0;  // within the selection, from 1; 0 = outside
    bool hidden = false;      // a gap cut it off before it was known to last long enough
  };
  using Frame = trace::CallStack<ReplayLines>::Frame;

  explicit ReplayLines(const ReplayLimits& limits) : limits_(limits) {}

  /// Those of a call whose entry is still to come. In between there may be calls of signal handlers.
  void announce(std::uint32_t function, trace::CallArgumentsPtr arguments);

  void entered(Frame& frame, const Frame& parent, const Frame* same);
  void left(Frame& frame, const trace::CallSpan& span);
  void orphaned(std::uint32_t function, std::uint64_t time, trace::CallEnd how);
  void gap(std::uint64_t time);
  /// Who called the function whose entry comes next, if that is recorded.
  void stack(std::uint32_t function, std::uint64_t time, BacktracePtr backtrace);
  /// There is no next entry.
  void end();

  /// Entries that are older than this, and than the minimum duration, are held back no longer: nothing
  /// happens before `now` any more.
  void release_older(std::uint64_t now, std::uint64_t age);
  /// When the first entry that is held back happened; none: the end of time.
  [[nodiscard]] std::uint64_t held_since() const {
    const std::uint64_t stack = stack_.backtrace != nullptr ? stack_.time : ~std::uint64_t{0};
    return held_.empty() ? stack : std::min(stack, held_.front().time);
  }

  std::deque<ReplayLine>& ready() { return ready_; }

 private:
  /// A call that is open and shown, if it lasts long enough, but not printed yet.
  struct Held {
    std::uint64_t serial;
    std::uint64_t time;
    std::uint32_t function;  // 0: ended too soon
    std::uint32_t depth;
    trace::CallArgumentsPtr arguments;
    BacktracePtr backtrace;
  };
  struct Announced {
    std::uint32_t function;
    trace::CallArgumentsPtr arguments;
  };
  trace::CallArgumentsPtr take_announced(std::uint32_t function);
  [[nodiscard]] bool shown(const FrameData& data) const {
    return data.level != 0 && !data.hidden && (limits_.max_depth == 0 || data.level <= limits_.max_depth);
  }
  [[nodiscard]] Held* find_held(std::uint64_t serial);
  void interrupted(Frame& frame, std::uint64_t duration);
  void release_front();
  void drop_back();
  void release_aged(std::uint64_t now);
  /// The entry that the stack belongs to is not recorded.
  void release_stack();

  const ReplayLimits& limits_;
  std::uint64_t serial_ = 0;
  std::vector<Announced> announced_;  // the latest last
  std::deque<Held> held_;             // by serial, which is also by time
  std::deque<ReplayLine> ready_;
  /// It waits for its entry, if there is one.
  struct {
    std::uint32_t function;
    std::uint32_t depth;
    std::uint64_t time;
    BacktracePtr backtrace;
  } stack_{};
  std::uint32_t level_ = 0;  // of the newest entry or exit
};

/// Reads a stream as far as needed for its next line, through a small buffer. Not movable: its parts refer to
/// each other.
class ReplaySource {
 public:
  /// All three must outlive the source.
  ReplaySource(const trace::ProcessTrace& process, const trace::StreamFile& stream,
               const ReplayLimits& limits);
  ReplaySource(const ReplaySource&) = delete;
  ReplaySource& operator=(const ReplaySource&) = delete;

  /// The next line, or null at the end. Valid until pop().
  const ReplayLine* front();
  void pop() { lines_.ready().pop_front(); }

  [[nodiscard]] const trace::ProcessTrace& process() const { return process_; }
  [[nodiscard]] const trace::StreamFile& stream() const { return stream_; }
  [[nodiscard]] const trace::StreamReader& reader() const { return reader_; }
  [[nodiscard]] std::uint64_t orphans() const { return calls_.orphans(); }

 private:
  void read_event();

  const trace::ProcessTrace& process_;
  const trace::StreamFile& stream_;
  trace::StreamReader reader_;
  ReplayLines lines_;
  trace::CallStack<ReplayLines> calls_;
  bool in_packet_ = false;
  bool ended_ = false;
};

}  // namespace calltap::export_
