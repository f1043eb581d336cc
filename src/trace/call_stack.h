// Turns the entries and exits of one thread into calls.
//
// Ends that are not in the trace, and frames that interleave:
//  - An exit of a function that is open but not on top removes that frame and leaves those above it open.
//  That is
//    what coroutines look like: calls of several of them are open on one thread and end in any order. (Calls
//    ended by an exception or a longjmp have an exit event of their own, `unwound`, before the exit of the
//    call below them.)
//  - After a gap, exits may be missing. A frame from before the gap that lies above an exiting one is closed
//  with it.
//  - An exit of a function that is not open is orphaned: its entry was not recorded, or was lost.
//  - What is open at the end of the stream ends there.
//
// Times: a call's duration is from its entry to its exit. Its own (self) time is the time during which it was
// the top frame, so self times of a thread add up to its hooked time, whatever the order of exits.
//
// Every operation is O(1), also for hostile traces: frames are linked to the one below and above, and to the
// open frame of the same function before them. Memory grows with the number of frames open at once, not with
// events.
#pragma once

#include <cstdint>
#include <vector>

namespace calltap::trace {

enum class CallEnd : std::uint8_t {
  kReturned,
  kUnwound,
  kLost,  // its exit is not in the trace
};

/// Sink:
///   struct FrameData                    what it keeps with a frame
///   void entered(Frame&, const Frame& parent, const Frame* same)
///                                       `same`: the frame of the innermost open call of this function, or
///                                       null
///   void left(const Frame&, std::uint64_t end, std::uint64_t duration, std::uint64_t self, CallEnd)
///   void orphaned(std::uint32_t function, std::uint64_t time, CallEnd)
/// The parent of an outermost call is a frame with function 0.
template <class Sink>
class CallStack {
 public:
  struct Frame {
    std::uint64_t start = 0;     // ticks
    std::uint64_t children = 0;  // ticks spent in frames above, modulo 2^64 while those are open
    std::uint32_t function = 0;
    std::uint32_t below = 0;  // index of the frame underneath
    std::uint32_t above = 0;  // index of the frame on top; next free frame when this one is free
    std::uint32_t same =
        0;  // index of the previous open frame of the same function, 0 if it is the outermost
    std::uint32_t newer = 0;  // index of the next open frame of the same function, unless it is the latest
    [[no_unique_address]] typename Sink::FrameData data{};

    [[nodiscard]] bool outermost() const { return same == 0; }
  };

  CallStack(Sink& sink, std::uint32_t function_count)
      : sink_(sink), latest_(std::size_t{function_count} + 1) {
    frames_.resize(kFirstFrames);
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
    frame.start = time;
    frame.children = 0;
    frame.function = function;
    frame.below = top_;
    frame.above = 0;
    frame.same = latest_[function];
    frames_[frame.same].newer = index;
    latest_[function] = index;
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

  /// Events are missing between `before` (the last time known) and the next event.
  void gap(std::uint64_t before) { stale_before_ = before + 1; }

  /// Closes what is open, innermost first.
  void close_all(std::uint64_t time) {
    while (top_ != 0) pop(time, CallEnd::kLost);
    stale_before_ = 0;
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
    const std::uint64_t duration = time - frame.start;
    latest_[frame.function] = frame.same;
    top_ = frame.below;
    frames_[top_].children += duration;
    sink_.left(frame, time, duration, duration - frame.children, end);
    frame.above = free_;
    free_ = index;
  }

  [[gnu::cold]] [[gnu::noinline]] void exit_below(std::uint32_t function, std::uint64_t time, CallEnd end) {
    const std::uint32_t index = latest_[function];
    if (index == 0) {
      ++orphans_;
      sink_.orphaned(function, time, end);
      return;
    }
    while (index != top_ && frames_[frames_[index].above].start < stale_before_) {
      remove(frames_[index].above, time, CallEnd::kLost);
    }
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
    Frame& above = frames_[frame.above];
    const std::uint64_t duration = time - frame.start;
    const std::uint64_t covered = time - above.start;
    unlink_same(frame, index);
    above.below = frame.below;
    frames_[frame.below].above = frame.above;
    frames_[frame.below].children += duration - covered;
    sink_.left(frame, time, duration, duration - frame.children - covered, end);
    frame.above = free_;
    free_ = index;
  }

  /// A stale frame need not be the latest of its function.
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
  std::vector<Frame> frames_;          // [0] is the ground that outermost calls stand on
  std::vector<std::uint32_t> latest_;  // by function: its innermost open frame, 0 if none
  std::uint32_t top_ = 0;
  std::uint32_t free_ = 0;
  std::uint64_t stale_before_ = 0;  // frames that began before this may have lost their exits
  std::uint64_t orphans_ = 0;
};

}  // namespace calltap::trace
