// The live view of calls: those of all threads as they happen, merged in the order of time.
//
// calls (the default), a line for an entry and one for an exit, or one for a call that made no others:
//   #            TIME  THREAD                TID    DURATION      CALL
//         5012.000104  server               4711                  > handle(request&)
//         5012.000107  server               4711      0.804 us        parse()
//         5012.000120  server               4711 +   14.237 us    < handle(request&)
//
// graph: the lines of `calltap replay`, with a line where another thread's begin:
//    ---------- server-4711 ----------
//       4711)               |  handle(request&) {
//
// json: an object a line:
//   {"kind":"entry"|"exit"|"call"|"gap"|"stack","time_ns":...,"tid":...,"thread":"...","function":"...",
//    "depth":...,"duration_ns":...,"end":"returned"|"unwound"|"lost",
//    "stack":[{"address":...,"function":"...","module":"...","offset":...},...],"stack_complete":...,
//    "arguments":[{"name":...,"type":...,"value":...}] or "registers":{...}}
//   {"kind":"discarded","events":...,"reasons":{"buffer_full":...}}, {"kind":"dropped","lines":...}
//
// A call whose stack was recorded has it below its entry, "<- function+0x1d [module]" a line, or in "stack",
// which begins with the function itself; kind "stack": the call itself is not shown.
//
// TIME is CLOCK_MONOTONIC; duration_ns is missing where it is not known. What is lost has a line of its own:
// events that the target discarded, and lines that were dropped because the output did not take them.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "export/live_calls.h"
#include "export/live_output.h"
#include "export/replay_source.h"
#include "trace/call_arguments.h"
#include "trace/live_reader.h"
#include "trace/tick_clock.h"

namespace calltap::export_ {

enum class LiveFormat { kCalls, kGraph, kJson };

struct LiveTraceOptions {
  LiveFormat format = LiveFormat::kCalls;
  std::uint32_t max_depth = 0;    // levels shown, 0 = all
  std::uint64_t min_time_ns = 0;  // only calls that last at least this long
  AddressNames* names = nullptr;  // for call stacks; null: they are addresses
};

class LiveTrace : public trace::LiveSink {
 public:
  /// The first two must outlive the view.
  LiveTrace(LiveOutput& out, const trace::LiveFunctions& functions, const trace::TickClock& clock,
            const LiveTraceOptions& options);

  void thread_started(std::uint16_t thread, const trace::LiveThread& what) override;
  void thread_ended(std::uint16_t thread) override;
  void events(std::span<const trace::LiveEvent> events) override;
  void discarded(const trace::DiscardCounts& counts) override;
  void reached(std::uint64_t time) override;
  /// Behind LiveReader::finish(): prints what was held back, and writes it, waiting for the reader of the
  /// output so long at most.
  void finish(std::uint64_t patience_ns);

  /// Lines that the output did not take.
  [[nodiscard]] std::uint64_t dropped() const { return dropped_in_all_; }

 private:
  struct Thread {
    Thread(const trace::LiveThread& thread, const ReplayLimits& limits);
    trace::LiveThread what;
    std::string columns;  // THREAD and TID
    std::string json;     // the same
    ReplayLines lines;
    std::unique_ptr<LiveCalls<ReplayLines>> calls;  // null: the thread has ended
    trace::LiveWords words;
  };

  static void take_words(Thread& thread, const trace::LiveEvent& event);
  void print_ready(std::uint64_t before);
  void print(Thread& thread, const ReplayLine& line);
  void print_call(const Thread& thread, const ReplayLine& line);
  void print_graph(const Thread& thread, const ReplayLine& line);
  void print_json(const Thread& thread, const ReplayLine& line);
  void print_backtrace(const ReplayLine& line, const Backtrace& backtrace);
  /// Room for a line, which is counted as dropped if there is none; what was lost before it is told first.
  [[nodiscard]] bool begin_line();
  void tell_losses();
  /// Of the function, with its arguments. Until the next call.
  [[nodiscard]] std::string_view name(const ReplayLine& line);
  const std::string& quoted_name(std::uint32_t function);

  LiveOutput& out_;
  const trace::LiveFunctions& functions_;
  trace::TickClock clock_;
  LiveTraceOptions options_;
  ReplayLimits limits_;
  std::uint64_t patience_;  // ticks for which an entry is held back, to see whether it is a leaf's
  std::vector<std::unique_ptr<Thread>> threads_;  // also those that have ended, until they are printed
  std::vector<Thread*> by_number_;
  std::vector<std::pair<std::uint64_t, Thread*>> turns_;
  std::vector<std::string> quoted_names_;
  std::string call_;
  const Thread* printed_ = nullptr;  // whose line was the last
  std::size_t frames_ = 0;
  trace::DiscardCounts discarded_{};  // not told yet
  std::uint64_t dropped_ = 0;         // not told yet
  std::uint64_t dropped_in_all_ = 0;
};

/// "12,345".
std::string grouped(std::uint64_t number);
/// "12,345 events discarded: buffer full 12,340, no frame 5"; the only reason has no number of its own.
std::string discarded_line(const trace::DiscardCounts& counts);

/// What was seen and what was lost, in one line, for the end. Of LiveStat no lines are dropped.
std::string live_summary(const trace::LiveCounts& counts, std::uint64_t dropped_lines);

}  // namespace calltap::export_
