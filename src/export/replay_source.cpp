#include "export/replay_source.h"

#include <algorithm>

#include "trace/walk.h"

namespace calltap::export_ {

using Kind = ReplayLine::Kind;

void ReplayLines::announce(std::uint32_t function, trace::CallArgumentsPtr arguments) {
  // Signal handlers within signal handlers; or calls whose entry never came.
  constexpr std::size_t kMost = 16;
  if (announced_.size() == kMost) announced_.erase(announced_.begin());
  announced_.push_back({function, std::move(arguments)});
}

/// What was announced later was of calls that came to nothing.
trace::CallArgumentsPtr ReplayLines::take_announced(std::uint32_t function) {
  for (std::size_t i = announced_.size(); i-- > 0;) {
    if (announced_[i].function != function) continue;
    trace::CallArgumentsPtr arguments = std::move(announced_[i].arguments);
    announced_.resize(i);
    return arguments;
  }
  return nullptr;
}

void ReplayLines::entered(Frame& frame, const Frame& parent, const Frame*) {
  trace::CallArgumentsPtr arguments = announced_.empty() ? nullptr : take_announced(frame.function);
  const bool begins = limits_.selected.empty() || limits_.selected[frame.function];
  frame.data.serial = ++serial_;
  frame.data.hidden = false;
  frame.data.level = parent.data.level != 0 ? parent.data.level + 1 : begins ? 1 : 0;
  BacktracePtr backtrace;
  if (stack_.backtrace != nullptr) [[unlikely]] {
    if (stack_.function == frame.function) {
      backtrace = std::move(stack_.backtrace);
    } else {
      release_stack();
    }
  }
  level_ = frame.data.level;
  if (!shown(frame.data)) return;
  // With a minimum duration, what lies below is shown only when something above it is: see left().
  if (limits_.min_duration == 0) release_aged(frame.start);
  held_.push_back({serial_, frame.start, frame.function, frame.data.level - 1, std::move(arguments),
                   std::move(backtrace)});
}

void ReplayLines::left(Frame& frame, const trace::CallSpan& span) {
  if (stack_.backtrace != nullptr) [[unlikely]]
    release_stack();
  level_ = frame.data.level == 0 ? 0 : frame.data.level - 1;
  if (!shown(frame.data)) return;
  if (span.how == trace::CallEnd::kInterrupted) {
    interrupted(frame, span.duration);
    return;
  }
  ReplayLine line{.kind = Kind::kClose,
                  .end = span.how,
                  .partial = frame.resumed || span.how == trace::CallEnd::kLost,
                  .function = frame.function,
                  .depth = frame.data.level - 1,
                  .time = span.end,
                  .duration = span.duration};
  Held* const held = find_held(frame.data.serial);
  const bool innermost = held != nullptr && held == &held_.back();
  if (held != nullptr && span.duration < limits_.min_duration) {
    held->function = 0;
    if (innermost) drop_back();
    return;
  }
  if (innermost) {
    line.kind = Kind::kLeaf;
    line.time = held->time;
    line.arguments = std::move(held->arguments);
    line.backtrace = std::move(held->backtrace);
    held_.pop_back();
  }
  // What began before it and is open, or ended later, lasted at least as long.
  while (!held_.empty() && held_.front().serial <= frame.data.serial) release_front();
  if (!innermost) release_aged(span.end);
  ready_.push_back(std::move(line));
}

/// A call that is open at a gap is shown before it or not at all: its duration will not be known later
/// either.
void ReplayLines::interrupted(Frame& frame, std::uint64_t duration) {
  Held* const held = find_held(frame.data.serial);
  if (held == nullptr) return;  // shown already
  if (duration < limits_.min_duration) {
    frame.data.hidden = true;
    held->function = 0;
    if (held == &held_.back()) drop_back();
    return;
  }
  while (!held_.empty() && held_.front().serial <= frame.data.serial) release_front();
}

void ReplayLines::orphaned(std::uint32_t function, std::uint64_t time, trace::CallEnd how) {
  release_stack();
  const bool wanted = limits_.selected.empty() || limits_.selected[function];
  if (!wanted || limits_.min_duration != 0) return;
  release_aged(time);
  ready_.push_back({.kind = Kind::kClose,
                    .end = how,
                    .orphaned = true,
                    .partial = true,
                    .function = function,
                    .time = time});
}

void ReplayLines::gap(std::uint64_t time) {
  announced_.clear();
  release_stack();
  release_aged(time);
  ready_.push_back({.kind = Kind::kGap, .time = time});
}

ReplayLines::Held* ReplayLines::find_held(std::uint64_t serial) {
  if (held_.empty() || serial < held_.front().serial) return nullptr;
  if (held_.back().serial == serial) return &held_.back();
  const auto at =
      std::lower_bound(held_.begin(), held_.end(), serial,
                       [](const Held& held, std::uint64_t wanted) { return held.serial < wanted; });
  return at != held_.end() && at->serial == serial ? &*at : nullptr;
}

void ReplayLines::release_front() {
  Held& held = held_.front();
  if (held.function != 0) {
    ready_.push_back({.kind = Kind::kOpen,
                      .function = held.function,
                      .depth = held.depth,
                      .time = held.time,
                      .arguments = std::move(held.arguments),
                      .backtrace = std::move(held.backtrace)});
  }
  held_.pop_front();
}

/// The last one, and those before it that have ended too soon when it was still there.
void ReplayLines::drop_back() {
  held_.pop_back();
  while (!held_.empty() && held_.back().function == 0) held_.pop_back();
}

void ReplayLines::stack(std::uint32_t function, std::uint64_t time, BacktracePtr backtrace) {
  release_stack();
  stack_.function = function;
  stack_.depth = level_;
  stack_.time = time;
  stack_.backtrace = std::move(backtrace);
}

void ReplayLines::release_stack() {
  if (stack_.backtrace == nullptr) return;
  const BacktracePtr backtrace = std::move(stack_.backtrace);
  const bool wanted = limits_.selected.empty() || limits_.selected[stack_.function];
  if (!wanted || limits_.min_duration != 0) return;
  release_aged(stack_.time);
  ready_.push_back({.kind = Kind::kStack,
                    .function = stack_.function,
                    .depth = stack_.depth,
                    .time = stack_.time,
                    .backtrace = backtrace});
}

void ReplayLines::end() { release_stack(); }

void ReplayLines::release_older(std::uint64_t now, std::uint64_t age) {
  const std::uint64_t least = std::max(age, limits_.min_duration);
  while (!held_.empty() &&
         (held_.front().function == 0 || (held_.front().time < now && now - held_.front().time >= least))) {
    release_front();
  }
  if (stack_.backtrace != nullptr && stack_.time < now && now - stack_.time >= age) release_stack();
}

void ReplayLines::release_aged(std::uint64_t now) {
  while (!held_.empty() &&
         (held_.front().function == 0 || now - held_.front().time >= limits_.min_duration)) {
    release_front();
  }
}

namespace {

BacktracePtr backtrace_of(const trace::EventWords& words) {
  auto backtrace = std::make_shared<Backtrace>();
  for (std::uint32_t i = 0; i < words.size(); ++i) backtrace->addresses.push_back(words[i]);
  backtrace->is_complete = words.layout() == static_cast<std::uint32_t>(event::StackLayout::kComplete);
  return backtrace;
}

// Replay has a stream open for every thread that runs at the time: many, and read slowly.
constexpr std::size_t kBufferPackets = 1;

}  // namespace

ReplaySource::ReplaySource(const trace::ProcessTrace& process, const trace::StreamFile& stream,
                           const ReplayLimits& limits)
    : process_(process),
      stream_(stream),
      reader_(process.open(stream, kBufferPackets)),
      lines_(limits),
      calls_(lines_, process.function_count) {}

const ReplayLine* ReplaySource::front() {
  while (lines_.ready().empty() && !ended_) read_event();
  return lines_.ready().empty() ? nullptr : &lines_.ready().front();
}

void ReplaySource::read_event() {
  if (!in_packet_) {
    if (!reader_.next_packet()) {
      lines_.end();
      calls_.close_all(reader_.counts().last_time);
      ended_ = true;
      return;
    }
    in_packet_ = true;
    note_continuity(reader_, calls_);
    if (reader_.continuity() != trace::Continuity::kUnbroken) {
      lines_.gap(std::max(reader_.counts().last_time, reader_.counts().first_time));
    }
  }
  trace::Event event;
  if (reader_.next_event(event)) {
    if (event.id == event::EventId::kArguments) {
      lines_.announce(event.function, trace::copy_arguments(reader_.words()));
    }
    apply(event, calls_);
    if (event.id == event::EventId::kStack) [[unlikely]]
      lines_.stack(event.function, event.time, backtrace_of(reader_.words()));
  } else {
    in_packet_ = false;
  }
}

}  // namespace calltap::export_
