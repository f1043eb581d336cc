#include "export/live_trace.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "export/append_text.h"
#include "export/arguments_text.h"
#include "export/replay_text.h"

namespace calltap::export_ {
namespace {

using Kind = ReplayLine::Kind;
using trace::LiveEvent;
using trace::LiveKind;

constexpr std::uint64_t kForEver = ~std::uint64_t{0};
constexpr std::uint64_t kPatienceNs = 100'000'000;

template <class... Args>
void print_to(fmt::memory_buffer& to, fmt::format_string<Args...> format, Args&&... args) {
  fmt::format_to(std::back_inserter(to), format, std::forward<Args>(args)...);
}

/// A thread's name is what the target says: nothing in it may reach the terminal as a command.
std::string printable(std::string name) {
  for (char& c : name) {
    if (static_cast<unsigned char>(c) < 0x20 || static_cast<unsigned char>(c) >= 0x7f) c = '?';
  }
  return name;
}

std::string in_quotes(std::string_view text) {
  return nlohmann::json(text).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

}  // namespace

std::string grouped(std::uint64_t number) {
  std::string digits = std::to_string(number);
  for (std::size_t at = digits.size(); at > 3;) {
    at -= 3;
    digits.insert(at, 1, ',');
  }
  return digits;
}

std::string discarded_line(const trace::DiscardCounts& counts) {
  std::uint64_t sum = 0;
  std::size_t reasons = 0;
  for (const std::uint64_t count : counts) {
    sum += count;
    reasons += count != 0 ? 1 : 0;
  }
  std::string line = fmt::format("{} event{} discarded:", grouped(sum), sum == 1 ? "" : "s");
  bool first = true;
  for (std::size_t i = 0; i < counts.size(); ++i) {
    if (counts[i] == 0) continue;
    std::string reason(trace::name(static_cast<event::DiscardReason>(i)));
    std::replace(reason.begin(), reason.end(), '_', ' ');
    line += fmt::format("{} {}", first ? "" : ",", reason);
    if (reasons > 1) line += fmt::format(" {}", grouped(counts[i]));
    first = false;
  }
  return line;
}

std::string live_summary(const trace::LiveCounts& counts, std::uint64_t dropped_lines) {
  std::string text = fmt::format("{} events of {} thread{}", grouped(counts.events),
                                 grouped(counts.threads_started), counts.threads_started == 1 ? "" : "s");
  if (counts.discarded != trace::DiscardCounts{})
    text += fmt::format("; {}", discarded_line(counts.discarded));
  if (counts.seen_of_lost != 0)
    text += fmt::format(" ({} of them were shown before)", grouped(counts.seen_of_lost));
  if (dropped_lines != 0)
    text += fmt::format("; {} lines dropped: the output was too slow", grouped(dropped_lines));
  if (counts.late != 0)
    text += fmt::format("; {} events came late and are out of order", grouped(counts.late));
  if (counts.damaged_packets != 0)
    text += fmt::format("; {} packets were damaged, what could be read of them was shown",
                        grouped(counts.damaged_packets));
  return text;
}

LiveTrace::Thread::Thread(const trace::LiveThread& thread, const ReplayLimits& limits)
    : what{thread.tid, printable(thread.name)},
      columns(fmt::format("  {:<15} {:>8} ", what.name, what.tid)),
      json(fmt::format(R"(,"tid":{},"thread":{})", what.tid, in_quotes(what.name))),
      lines(limits),
      calls(std::make_unique<LiveCalls<ReplayLines>>(lines)) {}

LiveTrace::LiveTrace(LiveOutput& out, const trace::LiveFunctions& functions, const trace::TickClock& clock,
                     const LiveTraceOptions& options)
    : out_(out),
      functions_(functions),
      clock_(clock),
      options_(options),
      patience_(clock.ticks_of(kPatienceNs)) {
  limits_.max_depth = options.max_depth;
  limits_.min_duration = clock.ticks_of(options.min_time_ns);
  if (options.format == LiveFormat::kCalls) {
    append(out_.buffer(), "#            TIME  THREAD                TID    DURATION      CALL\n");
  } else if (options.format == LiveFormat::kGraph) {
    print_to(out_.buffer(), "#     TID{}", kReplayHeader);
  }
}

void LiveTrace::thread_started(std::uint16_t thread, const trace::LiveThread& what) {
  if (by_number_.size() <= thread) by_number_.resize(std::size_t{thread} + 1);
  threads_.push_back(std::make_unique<Thread>(what, limits_));
  by_number_[thread] = threads_.back().get();
}

void LiveTrace::thread_ended(std::uint16_t thread) {
  Thread& t = *by_number_[thread];
  t.lines.end();
  t.calls->break_off();
  t.calls->forget(frames_);
  t.calls.reset();
  by_number_[thread] = nullptr;
}

void LiveTrace::events(std::span<const LiveEvent> events) {
  for (std::size_t i = 0; i < events.size();) {
    const std::uint16_t number = events[i].thread;
    Thread& thread = *by_number_[number];
    for (; i < events.size() && events[i].thread == number; ++i) {
      if (events[i].kind == LiveKind::kGap) {
        thread.calls->break_off();
        thread.lines.gap(events[i].time);
      }
      thread.calls->apply(events[i]);
      if (events[i].kind >= LiveKind::kArguments) take_words(thread, events[i]);
    }
    if (thread.calls->bound(frames_)) thread.lines.gap(thread.calls->last_time());
  }
}

void LiveTrace::take_words(Thread& thread, const LiveEvent& event) {
  const trace::LiveWords& words = thread.words;
  if (!thread.words.add(event)) return;
  if (words.kind() == LiveKind::kStack) {
    auto backtrace = std::make_shared<Backtrace>();
    backtrace->addresses = words.words();
    backtrace->is_complete = words.layout() == static_cast<std::uint32_t>(event::StackLayout::kComplete);
    return thread.lines.stack(words.function(), event.time, std::move(backtrace));
  }
  auto arguments = std::make_shared<trace::CallArguments>();
  arguments->layout = words.layout();
  arguments->words = words.words();
  thread.lines.announce(words.function(), std::move(arguments));
}

std::string_view LiveTrace::name(const ReplayLine& line) {
  if (line.function == 0) return {};
  if (line.arguments == nullptr) return functions_.name(line.function);
  call_ = call_with_arguments(functions_.name(line.function), *line.arguments,
                              functions_.parameters(line.function), this_machine());
  return call_;
}

void LiveTrace::discarded(const trace::DiscardCounts& counts) {
  for (std::size_t i = 0; i < counts.size(); ++i) discarded_[i] += counts[i];
}

void LiveTrace::reached(std::uint64_t time) {
  if (time == kForEver) return;  // finish() follows
  for (const auto& thread : threads_) thread->lines.release_older(time, patience_);
  std::uint64_t first_held = kForEver;
  // Without a minimum nothing older is held; with one, lines do not wait for what may never be shown.
  if (limits_.min_duration == 0) {
    for (const auto& thread : threads_) first_held = std::min(first_held, thread->lines.held_since());
  }
  print_ready(first_held);
  if (out_.has_room()) tell_losses();
  out_.flush();
}

void LiveTrace::finish(std::uint64_t patience_ns) {
  // Calls that still run are not known to last as long as they must.
  if (limits_.min_duration == 0) {
    for (const auto& thread : threads_) thread->lines.release_older(kForEver, 0);
  }
  print_ready(kForEver);
  tell_losses();
  out_.finish(patience_ns);
}

/// The lines of all threads, in the order of time, as far as no thread has an earlier one that is held back.
void LiveTrace::print_ready(std::uint64_t before) {
  // The earliest in front; equal times in the order of the threads.
  const auto later = [](const auto& a, const auto& b) {
    return a.first != b.first ? a.first > b.first : a.second->what.tid > b.second->what.tid;
  };
  turns_.clear();
  const auto wait_in_line = [&](Thread* thread) {
    if (!thread->lines.ready().empty() && thread->lines.ready().front().time <= before)
      turns_.emplace_back(thread->lines.ready().front().time, thread);
  };
  for (const auto& thread : threads_) wait_in_line(thread.get());
  std::make_heap(turns_.begin(), turns_.end(), later);
  while (!turns_.empty() && !out_.closed()) {
    std::pop_heap(turns_.begin(), turns_.end(), later);
    Thread* const thread = turns_.back().second;
    turns_.pop_back();
    const std::uint64_t until = turns_.empty() ? before : turns_.front().first;
    auto& ready = thread->lines.ready();
    do {
      print(*thread, ready.front());
      ready.pop_front();
    } while (!ready.empty() && ready.front().time < until);
    const std::size_t waiting = turns_.size();
    wait_in_line(thread);
    if (turns_.size() != waiting) std::push_heap(turns_.begin(), turns_.end(), later);
  }
  std::erase_if(threads_, [&](const auto& thread) {
    if (out_.closed()) thread->lines.ready().clear();
    if (thread->calls || !thread->lines.ready().empty()) return false;
    if (printed_ == thread.get()) printed_ = nullptr;
    return true;
  });
}

bool LiveTrace::begin_line() {
  if (!out_.has_room()) {
    ++dropped_;
    ++dropped_in_all_;
    return false;
  }
  if (dropped_ != 0) tell_losses();
  return true;
}

void LiveTrace::tell_losses() {
  fmt::memory_buffer& to = out_.buffer();
  const bool json = options_.format == LiveFormat::kJson;
  if (dropped_ != 0) {
    if (json) {
      print_to(to, "{{\"kind\":\"dropped\",\"lines\":{}}}\n", dropped_);
    } else {
      print_to(to, "[ {} line{} dropped: the output is too slow ]\n", grouped(dropped_),
               dropped_ == 1 ? "" : "s");
    }
    dropped_ = 0;
  }
  if (discarded_ == trace::DiscardCounts{}) return;
  if (json) {
    std::uint64_t sum = 0;
    nlohmann::ordered_json reasons;
    for (std::size_t i = 0; i < discarded_.size(); ++i) {
      sum += discarded_[i];
      if (discarded_[i] != 0)
        reasons[std::string(trace::name(static_cast<event::DiscardReason>(i)))] = discarded_[i];
    }
    print_to(to, "{{\"kind\":\"discarded\",\"events\":{},\"reasons\":{}}}\n", sum, reasons.dump());
  } else {
    print_to(to, "[ {} ]\n", discarded_line(discarded_));
  }
  discarded_ = {};
}

void LiveTrace::print(Thread& thread, const ReplayLine& line) {
  if (!begin_line()) return;
  switch (options_.format) {
    case LiveFormat::kCalls:
      print_call(thread, line);
      break;
    case LiveFormat::kGraph:
      print_graph(thread, line);
      break;
    case LiveFormat::kJson:
      print_json(thread, line);
      break;
  }
  printed_ = &thread;
}

void LiveTrace::print_call(const Thread& thread, const ReplayLine& line) {
  fmt::memory_buffer& to = out_.buffer();
  const std::uint64_t us = clock_.monotonic_ns(line.time) / 1000;
  append_number(to, us / 1'000'000, 10);
  to.push_back('.');
  append_digits(to, us, 6);
  append(to, thread.columns);
  append_duration(to, line, clock_.duration_ns(line.duration), out_.colour());
  append_spaces(to, 4 + indentation(line.depth));
  if (line.kind == Kind::kGap) {
    append(to, "  events are missing here\n");
    return;
  }
  const std::string_view function = name(line);
  append(to, line.kind == Kind::kStack   ? "# "
             : line.kind == Kind::kOpen  ? "> "
             : line.kind == Kind::kClose ? "< "
                                         : "  ");
  append(to, function);
  append(to, parentheses(function));
  if (line.kind != Kind::kOpen && line.kind != Kind::kStack) append(to, remark(line));
  to.push_back('\n');
  if (line.backtrace != nullptr) print_backtrace(line, *line.backtrace);
}

void LiveTrace::print_backtrace(const ReplayLine& line, const Backtrace& backtrace) {
  fmt::memory_buffer& to = out_.buffer();
  constexpr std::size_t kColumnsBefore = 64;  // up to the name of a call, and two more
  for (std::size_t n = 0; n < backtrace_lines(backtrace); ++n) {
    append_spaces(to, kColumnsBefore + indentation(line.depth));
    append(to, "<- ");
    if (n + 1 < backtrace.addresses.size()) {
      append_frame(to, backtrace, n + 1, options_.names);
    } else {
      append(to, "...");
    }
    to.push_back('\n');
  }
}

void LiveTrace::print_graph(const Thread& thread, const ReplayLine& line) {
  fmt::memory_buffer& to = out_.buffer();
  if (printed_ != &thread) print_to(to, " ---------- {}-{} ----------\n", thread.what.name, thread.what.tid);
  append_number(to, thread.what.tid, 8);
  append(to, ") ");
  append_duration(to, line, clock_.duration_ns(line.duration), out_.colour());
  append(to, " |  ");
  append_call(to, line, name(line));
  const Backtrace* const backtrace = line.backtrace.get();
  for (std::size_t n = 0; backtrace != nullptr && n < backtrace_lines(*backtrace); ++n) {
    append_number(to, thread.what.tid, 8);
    append(to, ") ");
    append_duration(to, {.kind = Kind::kStack}, 0, false);
    append(to, " |  ");
    append_spaces(to, indentation(line.depth) + 2);
    append_backtrace_line(to, *backtrace, n, options_.names);
  }
}

void LiveTrace::print_json(const Thread& thread, const ReplayLine& line) {
  constexpr std::string_view kKinds[] = {"entry", "exit", "call", "gap", "stack"};
  constexpr std::string_view kEnds[] = {"returned", "unwound", "lost", "lost"};
  fmt::memory_buffer& to = out_.buffer();
  append(to, R"({"kind":")");
  append(to, kKinds[static_cast<int>(line.kind)]);
  append(to, R"(","time_ns":)");
  append_number(to, clock_.monotonic_ns(line.time));
  append(to, thread.json);
  if (line.kind != Kind::kGap) {
    append(to, R"(,"function":)");
    append(to, quoted_name(line.function));
    append(to, R"(,"depth":)");
    append_number(to, line.depth);
    if (line.arguments != nullptr) {
      append(to, json_with_arguments(*line.arguments, functions_.parameters(line.function), this_machine()));
    }
  }
  if (line.kind == Kind::kClose || line.kind == Kind::kLeaf) {
    if (!line.partial) {
      append(to, R"(,"duration_ns":)");
      append_number(to, clock_.duration_ns(line.duration));
    }
    append(to, R"(,"end":")");
    append(to, kEnds[static_cast<int>(line.end)]);
    to.push_back('"');
  }
  if (line.backtrace != nullptr) {
    append(to, R"(,"stack":)");
    append_frames_json(to, *line.backtrace, options_.names);
    append(to, R"(,"stack_complete":)");
    append(to, line.backtrace->is_complete ? "true" : "false");
  }
  append(to, "}\n");
}

const std::string& LiveTrace::quoted_name(std::uint32_t function) {
  if (quoted_names_.size() <= function) quoted_names_.resize(std::size_t{functions_.count()} + 1);
  std::string& text = quoted_names_[function];
  if (text.empty()) text = in_quotes(functions_.name(function));
  return text;
}

}  // namespace calltap::export_
