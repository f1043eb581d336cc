#include "export/replay.h"

#include <algorithm>
#include <memory>
#include <vector>

#include "export/arguments_text.h"
#include "export/replay_source.h"
#include "export/replay_text.h"

namespace calltap::export_ {
namespace {

/// A stream that may not have begun at the time that is being printed.
struct Waiting {
  std::uint64_t first_ns;
  const trace::ProcessTrace* process;
  const trace::StreamFile* stream;
  const ReplayLimits* limits;
};

struct Running {
  std::uint64_t next_ns;
  std::size_t order;  // equal times: in the order of the streams
  std::unique_ptr<ReplaySource> source;

  /// For std::push_heap, which keeps the greatest in front: the earliest is the greatest.
  bool operator<(const Running& other) const {
    return next_ns != other.next_ns ? next_ns > other.next_ns : order > other.order;
  }
};

std::uint64_t time_ns(const trace::ProcessTrace& process, std::uint64_t ticks) {
  return trace::TickClock(process.description.clock).monotonic_ns(ticks);
}

ReplayLimits limits_for(const trace::ProcessTrace& process, const ReplayOptions& options) {
  ReplayLimits limits;
  limits.max_depth = options.max_depth;
  limits.min_duration = trace::TickClock(process.description.clock).ticks_of(options.min_time_ns);
  if (options.selects) {
    limits.selected.resize(std::size_t{process.function_count} + 1);
    for (const trace::FunctionDescription& f : process.description.functions) {
      limits.selected[f.id] = options.selects(process, f);
    }
  }
  return limits;
}

/// The next line of any stream, in the order of time. Streams are opened when their time has come.
class Merge {
 public:
  Merge(const trace::Session& session, const ReplayOptions& options) {
    limits_.reserve(session.processes.size());
    for (const trace::ProcessTrace& process : session.processes) {
      limits_.push_back(limits_for(process, options));
      for (const trace::StreamFile& stream : process.streams) {
        if (options.tid && *options.tid != stream.tid) continue;
        trace::StreamReader reader = process.open(stream, 1);
        const bool any = reader.next_packet();
        const std::uint64_t first = any ? time_ns(process, reader.counts().first_time) : 0;
        waiting_.push_back({first, &process, &stream, &limits_.back()});
      }
    }
    std::stable_sort(waiting_.begin(), waiting_.end(),
                     [](const Waiting& a, const Waiting& b) { return a.first_ns > b.first_ns; });
  }

  /// The source whose front line is next, or null at the end. Call advance() when the line was taken.
  ReplaySource* next() {
    while (!waiting_.empty() && (running_.empty() || waiting_.back().first_ns <= running_.front().next_ns)) {
      const Waiting w = waiting_.back();
      waiting_.pop_back();
      push({0, opened_++, std::make_unique<ReplaySource>(*w.process, *w.stream, *w.limits)});
    }
    return running_.empty() ? nullptr : running_.front().source.get();
  }
  void advance() {
    std::pop_heap(running_.begin(), running_.end());
    Running taken = std::move(running_.back());
    running_.pop_back();
    taken.source->pop();
    push(std::move(taken));
  }
  /// Counts what was read, also from streams that were left in the middle.
  Reading finish() {
    for (const Running& r : running_) count(*r.source);
    return reading_;
  }

 private:
  void push(Running running) {
    if (const ReplayLine* line = running.source->front()) {
      running.next_ns = time_ns(running.source->process(), line->time);
      running_.push_back(std::move(running));
      std::push_heap(running_.begin(), running_.end());
    } else {
      count(*running.source);
    }
  }
  void count(const ReplaySource& source) { reading_.add(source.stream(), source.reader(), source.orphans()); }

  std::vector<ReplayLimits> limits_;  // by process; never reallocated, sources refer to them
  std::vector<Waiting> waiting_;      // the earliest last
  std::vector<Running> running_;      // heap
  std::size_t opened_ = 0;
  Reading reading_;
};

class LinePrinter {
 public:
  LinePrinter(Output& out, bool processes, const ReplayOptions& options)
      : out_(out), processes_(processes), options_(options) {}

  void header() { out_.print("#{}     TID{}", processes_ ? "         PROCESS" : "", kReplayHeader); }

  void print(const ReplaySource& source, const ReplayLine& line) {
    const trace::ProcessTrace& process = source.process();
    begin(source);
    append_duration(text_, line, trace::TickClock(process.description.clock).duration_ns(line.duration),
                    out_.colour());
    fmt::format_to(std::back_inserter(text_), " |  ");
    append_call(text_, line, name(process, line));
    out_.text({text_.data(), text_.size()});
    if (line.backtrace != nullptr) print(source, line, *line.backtrace);
  }

 private:
  std::string_view name(const trace::ProcessTrace& process, const ReplayLine& line) {
    if (line.arguments == nullptr) return process.names[line.function];
    call_ = call_with_arguments(process.names[line.function], *line.arguments,
                                process.parameters_of(line.function), process.description.host.machine);
    return call_;
  }

  void begin(const ReplaySource& source) {
    if (processes_) out_.print("{:>16} ", source.process().description.name);
    out_.print("{:>8}) ", source.stream().tid);
    text_.clear();
  }

  void print(const ReplaySource& source, const ReplayLine& line, const Backtrace& backtrace) {
    AddressNames* const names = options_.names ? options_.names(source.process()) : nullptr;
    for (std::size_t n = 0; n < backtrace_lines(backtrace); ++n) {
      begin(source);
      append_duration(text_, {.kind = ReplayLine::Kind::kStack}, 0, false);
      fmt::format_to(std::back_inserter(text_), " |  {:{}}", "", indentation(line.depth) + 2);
      append_backtrace_line(text_, backtrace, n, names);
      out_.text({text_.data(), text_.size()});
    }
  }

  Output& out_;
  bool processes_;
  std::string call_;
  const ReplayOptions& options_;
  fmt::memory_buffer text_;
};

}  // namespace

Reading replay(Output& out, const trace::Session& session, const ReplayOptions& options) {
  LinePrinter printer(out, session.processes.size() > 1, options);
  printer.header();
  Merge merge(session, options);
  while (ReplaySource* source = merge.next()) {
    if (out.closed()) break;
    printer.print(*source, *source->front());
    merge.advance();
  }
  return merge.finish();
}

}  // namespace calltap::export_
