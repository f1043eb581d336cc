#include "export/live_stat.h"

#include <sys/ioctl.h>

#include <algorithm>

#include "export/append_text.h"

namespace calltap::export_ {
namespace {

/// What was charged to calls that ran at the beginning is theirs no longer; a gap may have cut them off
/// before that.
std::uint64_t less(std::uint64_t now, std::uint64_t before) { return now > before ? now - before : 0; }

constexpr std::string_view kEnterScreen = "\033[?1049h\033[?25l";
constexpr std::string_view kLeaveScreen = "\033[?25h\033[?1049l";

}  // namespace

LiveStat::LiveStat(LiveOutput& out, const trace::LiveFunctions& functions, const trace::TickClock& clock,
                   LiveStatOptions options)
    : out_(out),
      functions_(functions),
      clock_(clock),
      options_(std::move(options)),
      interval_(std::max<std::uint64_t>(clock.ticks_of(options_.interval_ns), 1)),
      function_count_(0),
      times_(0) {
  add_functions(functions.count());
}

LiveStat::~LiveStat() { leave_screen(); }

void LiveStat::leave_screen() {
  if (!on_screen_) return;
  on_screen_ = false;
  append(out_.buffer(), kLeaveScreen);
  out_.flush();
}

void LiveStat::add_functions(std::uint32_t count) {
  function_count_ = count;
  const std::size_t size = std::size_t{count} + 1;
  times_.add_functions(count);
  before_.resize(size);
  open_.resize(size);
  open_before_.resize(size);
}

void LiveStat::thread_started(std::uint16_t thread, const trace::LiveThread&) {
  if (threads_.size() <= thread) threads_.resize(std::size_t{thread} + 1);
  threads_[thread] = std::make_unique<Calls>(times_);
  ++thread_count_;
}

void LiveStat::thread_ended(std::uint16_t thread) {
  threads_[thread]->break_off();
  threads_[thread]->forget(frames_);
  threads_[thread].reset();
  --thread_count_;
}

void LiveStat::begin_at(std::uint64_t time) {
  begun_ = true;
  begin_ = time;
  end_ = begin_ + interval_;
}

void LiveStat::events(std::span<const trace::LiveEvent> events) {
  if (const std::uint32_t count = functions_.count(); count != function_count_) add_functions(count);
  if (!begun_ && !events.empty()) begin_at(events.front().time);
  for (std::size_t i = 0; i < events.size();) {
    const std::uint16_t number = events[i].thread;
    Calls& calls = *threads_[number];
    for (; i < events.size() && events[i].thread == number; ++i) {
      const trace::LiveEvent& event = events[i];
      if (event.time >= end_) [[unlikely]]
        close_intervals(event.time);
      if (event.kind == trace::LiveKind::kGap) {
        calls.break_off();
      } else if (event.kind != trace::LiveKind::kHalfWord) {
        ++events_;
      }
      calls.apply(event);
    }
    calls.bound(frames_);
  }
}

void LiveStat::discarded(const trace::DiscardCounts& counts) {
  for (std::size_t i = 0; i < counts.size(); ++i) discarded_[i] += counts[i];
}

void LiveStat::reached(std::uint64_t time) {
  if (time != ~std::uint64_t{0}) {  // else there is no time any more: finish() follows
    if (!begun_) begin_at(time);
    if (time >= end_) close_intervals(time);
  }
  out_.flush();
}

/// The interval that ends before `time`; a longer one where the tool stood still.
void LiveStat::close_intervals(std::uint64_t time) {
  close_interval(end_ + (time - end_) / interval_ * interval_);
}

void LiveStat::close_interval(std::uint64_t end) {
  if (!finishing_ && !out_.has_room()) {
    end_ = end + interval_;
    return;
  }
  const LiveStatInterval interval = collect(end);
  for (std::size_t f = 0; f < before_.size(); ++f) before_[f].add(times_.times()[f]);
  times_.clear();
  std::swap(open_before_, open_);
  events_ = 0;
  discarded_ = {};
  begin_ = end;
  end_ = begin_ + interval_;
  show(interval);
}

void LiveStat::add_open_calls(std::uint64_t time) {
  std::fill(open_.begin(), open_.end(), InFlight{});
  for (const auto& thread : threads_) {
    if (!thread) continue;
    // A late event may have opened a call after this.
    thread->stack().each_open(std::max(time, thread->last_time()),
                              [&](const auto& frame, const trace::CallSpan& span) {
                                InFlight& f = open_[frame.function];
                                ++f.calls;
                                f.total += span.outermost ? span.duration : 0;
                                f.self += span.self;
                                f.max = std::max(f.max, span.duration);
                              });
  }
}

/// In ticks.
LiveStatRow LiveStat::row(std::uint32_t function) const {
  const FunctionTimes& t = times_.times()[function];
  const FunctionTimes& before = before_[function];
  const InFlight& open = open_[function];
  const InFlight& was_open = open_before_[function];
  LiveStatRow row;
  row.function = function;
  row.running = open.calls;
  row.interval.calls = less(t.calls + open.calls, was_open.calls);
  row.interval.total = less(t.total + open.total, was_open.total);
  row.interval.self = less(t.self + open.self, was_open.self);
  row.interval.ended = t.whole();
  row.interval.sum = t.sum;
  row.interval.max = std::max(t.max, open.max);
  row.start.calls = before.calls + t.calls + open.calls;
  row.start.total = before.total + t.total + open.total;
  row.start.self = before.self + t.self + open.self;
  row.start.ended = before.whole() + t.whole();
  row.start.sum = before.sum + t.sum;
  row.start.max = std::max({before.max, t.max, open.max});
  return row;
}

LiveTimes LiveStat::in_nanoseconds(const LiveTimes& ticks) const {
  return {ticks.calls, clock_.duration_ns(ticks.total), clock_.duration_ns(ticks.self),
          ticks.ended, clock_.duration_ns(ticks.sum),   clock_.duration_ns(ticks.max)};
}

LiveStatInterval LiveStat::collect(std::uint64_t end) {
  add_open_calls(end);
  const bool everything = finishing_ && options_.format == StatFormat::kScreen;
  LiveStatInterval interval;
  interval.begin = clock_.monotonic_ns(begin_);
  interval.duration = clock_.duration_ns(end - begin_);
  interval.events = events_;
  interval.threads = thread_count_;
  interval.discarded = discarded_;
  for (std::uint32_t function = 1; function <= function_count_; ++function) {
    LiveStatRow r = row(function);
    if (r.start.calls == 0) continue;
    const bool idle =
        r.interval.calls == 0 && r.interval.total == 0 && r.interval.ended == 0 && r.running == 0;
    if (idle && !everything) continue;
    r.interval = in_nanoseconds(r.interval);
    r.start = in_nanoseconds(r.start);
    interval.rows.push_back(r);
  }
  const auto key = [&](const LiveStatRow& r) { return everything ? r.start.total : r.interval.total; };
  std::sort(interval.rows.begin(), interval.rows.end(), [&](const LiveStatRow& a, const LiveStatRow& b) {
    return key(a) != key(b) ? key(a) > key(b) : a.function < b.function;
  });
  return interval;
}

void LiveStat::show(const LiveStatInterval& interval) {
  fmt::memory_buffer& to = out_.buffer();
  const std::size_t most = options_.limit == 0 ? interval.rows.size() : options_.limit;
  switch (finishing_ && options_.format == StatFormat::kScreen ? StatFormat::kLines : options_.format) {
    case StatFormat::kJson:
      append_stat_json(to, interval, functions_, most);
      break;
    case StatFormat::kLines:
      append_stat_table(to, interval, options_, functions_, 0, most, "\n");
      append(to, "\n");
      break;
    case StatFormat::kScreen: {
      winsize window = {};
      if (::ioctl(out_.fd(), TIOCGWINSZ, &window) != 0 || window.ws_row == 0) window = {24, 80, 0, 0};
      if (!on_screen_) append(to, kEnterScreen);
      on_screen_ = true;
      append(to, "\033[H");
      constexpr std::size_t kHeaderLines = 4;
      const std::size_t room = window.ws_row > kHeaderLines ? window.ws_row - kHeaderLines : 1;
      append_stat_table(to, interval, options_, functions_, window.ws_col, std::min(most, room),
                        "\033[K\r\n");
      append(to, "\033[J");
      break;
    }
  }
  out_.flush();
}

void LiveStat::finish(std::uint64_t patience_ns) {
  finishing_ = true;
  leave_screen();
  std::uint64_t last = begin_;
  for (const auto& thread : threads_) last = std::max(last, thread ? thread->last_time() : 0);
  if (last > begin_ || events_ != 0 || discarded_ != trace::DiscardCounts{}) close_interval(last);
  out_.finish(patience_ns);
}

}  // namespace calltap::export_
