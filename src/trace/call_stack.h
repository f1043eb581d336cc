// Turns the entries and exits of one thread into calls.
//
// Ends that are not in the trace, and frames that interleave:
//  - An exit of a function that is open but not on top removes that frame and leaves those above it open.
//    That is what coroutines look like: calls of several of them are open on one thread and end in any order.
//    (Calls ended by an exception or a longjmp have an exit event of their own, `unwound`, before the exit of
//    the call below them.)
//  - An exit of a function that is not open is orphaned: its entry was not recorded, or was lost.
//  - What is open at the end of the stream ends there, as lost.
//
// Gaps, where events are missing: any call that is open before one may have ended in it, so a gap ends the
// first part of every open call (`interrupted`). The frames stay as `resumed` ones, since most calls go on
// behind most gaps, and somebody has to be the caller of what comes next; but they are not believed:
//  - The exit of a resumed frame proves it. Its second part, from the gap to the exit, is reported then.
//    Resumed frames above it have ended in the gap; time and calls above them were those of the frame below.
//  - A resumed frame whose exit never comes is dropped: nothing that happened behind the gap is charged to
//  it.
// Time within gaps is nobody's: durations are made of time that was recorded.
//
// Times: a call's duration is from its entry to its exit. Its own (self) time is the time during which it was
// the top frame, so self times of a thread add up to its hooked time, whatever the order of exits.
//
// Every operation is O(1), also for hostile traces (a gap touches frames that were opened since the one
// before it, each once): frames are linked to the one below and above, and to the open frame of the same
// function before them. Memory grows with the number of frames open at once, not with events.
#pragma once

#include <cstdint>
#include <vector>

namespace calltap::trace {

enum class CallEnd : std::uint8_t {
  kReturned,
  kUnwound,
  kLost,         // its exit is not in the trace
  kInterrupted,  // at a gap: it may go on behind it
};

/// What is known of a call when it ends; at a gap, and behind one, of a part of it.
struct CallSpan {
  std::uint64_t end = 0;       // ticks
  std::uint64_t duration = 0;  // ticks, without gaps
  std::uint64_t self = 0;      // ticks
  /// Ticks of `duration` that were reported as those of outermost calls of the same function already.
  std::uint64_t counted = 0;
  /// No other call of the function is open that counts this time.
  bool outermost = true;
  CallEnd how = CallEnd::kReturned;
};

template <class Data>
struct OpenCall {
  std::uint64_t start = 0;     // ticks, less all gaps before it
  std::uint64_t children = 0;  // ticks spent in frames above, modulo 2^64 while those are open
  std::uint64_t counted = 0;   // as in CallSpan; only for resumed frames
  std::uint32_t function = 0;
  std::uint32_t below = 0;  // index of the frame underneath
  std::uint32_t above = 0;  // index of the frame on top; next free frame when this one is free
  std::uint32_t same = 0;   // index of the previous open frame of the same function, 0 if it is the outermost
  std::uint32_t newer = 0;  // index of the next open frame of the same function, unless it is the latest
  bool resumed = false;     // was open before the last gap
  [[no_unique_address]] Data data{};
};

/// By function: the index of its innermost open frame, 0 if none. This one is fast, and as large as there are
/// functions.
class LatestFrames {
 public:
  explicit LatestFrames(std::uint32_t function_count) : frames_(std::size_t{function_count} + 1) {}
  /// Until the next call.
  std::uint32_t& operator[](std::uint32_t function) { return frames_[function]; }

 private:
  std::vector<std::uint32_t> frames_;
};

/// Sink:
///   struct FrameData                    what it keeps with a frame
///   void entered(Frame&, const Frame& parent, const Frame* same)
///                                       `same`: the frame of the innermost open call of this function, or
///                                       null
///   void left(Frame&, const CallSpan&)  a call, or a part of one: each call has one span for which
///                                       frame.resumed is false, and at most one later for which it is true
///   void orphaned(std::uint32_t function, std::uint64_t time, CallEnd)
/// The parent of an outermost call is a frame with function 0.
template <class Sink, class Latest = LatestFrames>
class CallStack {
 public:
  using Frame = OpenCall<typename Sink::FrameData>;

  CallStack(Sink& sink, std::uint32_t function_count) : sink_(sink), latest_(function_count) {
    frames_.resize(kFirstFrames);
    frames_[0].resumed = true;  // where gap() stops
    link_free(1);
  }

  void entry(std::uint32_t function, std::uint64_t time) {
    if (free_ == 0) [[unlikely]]
      grow();
    const std::uint32_t index = free_;
    Frame& frame = frames_[index];
    Frame& parent = frames_[top_];
    free_ = frame.above;
    parent.above = index;
    frame.start = time - missing_;
    frame.children = 0;
    frame.resumed = false;
    frame.function = function;
    frame.below = top_;
    frame.above = 0;
    std::uint32_t& latest = latest_[function];
    frame.same = latest;
    latest = index;
    frames_[frame.same].newer = index;
    top_ = index;
    sink_.entered(frame, parent, frame.same == 0 ? nullptr : &frames_[frame.same]);
  }

  void exit(std::uint32_t function, std::uint64_t time, CallEnd end) {
    if (frames_[top_].function == function) [[likely]] {
      pop(time, end);
    } else {
      exit_below(function, time, end);
    }
  }

  /// Events are missing between two times: the last before, and the first behind, which is not earlier.
  void gap(std::uint64_t before, std::uint64_t behind) {
    const std::uint64_t now = before - missing_;
    for (std::uint32_t index = top_; !frames_[index].resumed; index = frames_[index].below) {
      Frame& frame = frames_[index];
      const std::uint64_t duration = now - frame.start;
      frames_[frame.below].children += duration;
      report(frame, {before, duration, duration - frame.children, 0, true, CallEnd::kInterrupted});
      frame.start = now;
      frame.children = 0;
      frame.counted = 0;
      frame.resumed = true;
    }
    missing_ += behind - before;
  }

  /// Closes what is open, innermost first.
  void close_all(std::uint64_t time) {
    while (top_ != 0) {
      if (frames_[top_].resumed) {
        drop(top_, time);
      } else {
        pop(time, CallEnd::kLost);
      }
    }
    missing_ = 0;
  }

  /// handle(const Frame&, const CallSpan&) for every open call, innermost first: what it would be reported as
  /// if there were a gap at this time. For stacks that have seen no gap.
  template <class Handle>
  void each_open(std::uint64_t time, Handle&& handle) const {
    const std::uint64_t now = time - missing_;
    std::uint64_t covered = 0;
    for (std::uint32_t index = top_; index != 0; index = frames_[index].below) {
      const Frame& frame = frames_[index];
      const std::uint64_t duration = now - frame.start;
      const std::uint64_t self = duration - frame.children - covered;
      handle(frame, CallSpan{time, duration, self, 0, frame.same == 0, CallEnd::kInterrupted});
      covered = duration;
    }
  }

  /// Exits whose entry was not seen.
  [[nodiscard]] std::uint64_t orphans() const { return orphans_; }
  /// Open frames and free ones kept for reuse.
  [[nodiscard]] std::size_t frames_in_memory() const { return frames_.size(); }

 private:
  static constexpr std::size_t kFirstFrames = 256;

  void pop(std::uint64_t time, CallEnd end) {
    const std::uint32_t index = top_;
    Frame& frame = frames_[index];
    const std::uint64_t duration = time - missing_ - frame.start;
    latest_[frame.function] = frame.same;
    top_ = frame.below;
    frames_[top_].children += duration;
    report(frame, {time, duration, duration - frame.children, 0, true, end});
    frame.above = free_;
    free_ = index;
  }

  /// Completes the span.
  [[gnu::always_inline]] void report(Frame& frame, CallSpan span) {
    if (frame.same != 0) {
      Frame& same = frames_[frame.same];
      span.outermost = same.resumed;
      if (same.resumed) [[unlikely]]
        same.counted += span.duration;
    }
    if (frame.resumed) [[unlikely]]
      span.counted = frame.counted;
    sink_.left(frame, span);
  }

  [[gnu::cold]] [[gnu::noinline]] void exit_below(std::uint32_t function, std::uint64_t time, CallEnd end) {
    const std::uint32_t index = latest_[function];
    if (index == 0) {
      ++orphans_;
      sink_.orphaned(function, time, end);
      return;
    }
    while (index != top_ && frames_[frames_[index].above].resumed) drop(frames_[index].above, time);
    remove(index, time, end);
  }

  /// Takes a frame out of the middle. The time since the frame above it began is that frame's, which will add
  /// it to the one below when it ends.
  void remove(std::uint32_t index, std::uint64_t time, CallEnd end) {
    if (index == top_) {
      pop(time, end);
      return;
    }
    Frame& frame = frames_[index];
    const std::uint64_t now = time - missing_;
    const std::uint64_t duration = now - frame.start;
    const std::uint64_t covered = now - frames_[frame.above].start;
    frames_[frame.below].children += duration - covered;
    unlink(frame, index);
    report(frame, {time, duration, duration - frame.children - covered, 0, true, end});
    frame.above = free_;
    free_ = index;
  }

  /// Takes out a resumed frame that has turned out to be gone, as if it had not been there since the gap.
  void drop(std::uint32_t index, std::uint64_t time) {
    Frame& frame = frames_[index];
    frames_[frame.below].children += frame.children;
    frames_[frame.same].counted += frame.counted;
    unlink(frame, index);
    sink_.left(frame, {time, 0, 0, 0, false, CallEnd::kLost});
    frame.above = free_;
    free_ = index;
  }

  void unlink(const Frame& frame, std::uint32_t index) {
    unlink_same(frame, index);
    if (index == top_) {
      top_ = frame.below;
    } else {
      frames_[frame.above].below = frame.below;
      frames_[frame.below].above = frame.above;
    }
  }

  /// A resumed frame need not be the latest of its function.
  void unlink_same(const Frame& frame, std::uint32_t index) {
    std::uint32_t& latest = latest_[frame.function];
    if (latest == index) {
      latest = frame.same;
    } else {
      frames_[frame.newer].same = frame.same;
      frames_[frame.same].newer = frame.newer;
    }
  }

  void link_free(std::size_t from) {
    for (std::size_t i = from; i + 1 < frames_.size(); ++i)
      frames_[i].above = static_cast<std::uint32_t>(i + 1);
    frames_.back().above = 0;
    free_ = static_cast<std::uint32_t>(from);
  }

  [[gnu::cold]] [[gnu::noinline]] void grow() {
    const std::size_t from = frames_.size();
    frames_.resize(from * 2);
    link_free(from);
  }

  Sink& sink_;
  std::vector<Frame> frames_;  // [0] is the ground that outermost calls stand on
  Latest latest_;
  std::uint32_t top_ = 0;
  std::uint32_t free_ = 0;
  std::uint64_t missing_ = 0;  // ticks in gaps so far
  std::uint64_t orphans_ = 0;
};

}  // namespace calltap::trace
