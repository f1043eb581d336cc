// The live table of functions: how often each was called and where the time went, in the last interval and
// since the start.
//
// A call counts when it is entered. While it runs, the time that it has run so far is in `total` and `self`,
// so a function that never returns has its share of each interval. `avg` is of calls that have ended, `max`
// also of those that run. An exit without an entry, of a call that ran before the tool came, counts as
// nothing. Behind a gap calls are as after the start (live_calls.h); calls that a gap has cut off count with
// the time until then.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "export/function_times.h"
#include "export/live_calls.h"
#include "export/live_output.h"
#include "trace/live_reader.h"
#include "trace/tick_clock.h"

namespace calltap::export_ {

/// Ticks, or ns where it says so.
struct LiveTimes {
  std::uint64_t calls = 0;
  std::uint64_t total = 0;
  std::uint64_t self = 0;
  std::uint64_t ended = 0;  // calls that `sum` is of
  std::uint64_t sum = 0;
  std::uint64_t max = 0;
};

struct LiveStatRow {
  std::uint32_t function = 0;
  LiveTimes interval;  // ns
  LiveTimes start;     // ns
  std::uint64_t running = 0;
};

struct LiveStatInterval {
  std::uint64_t begin = 0;     // CLOCK_MONOTONIC, ns
  std::uint64_t duration = 0;  // ns
  std::uint64_t events = 0;
  std::uint64_t threads = 0;
  trace::DiscardCounts discarded{};
  /// Those with calls or time in the interval, by its total; at the end, on the terminal, all by that since
  /// the start.
  std::vector<LiveStatRow> rows;
};

enum class StatFormat {
  kLines,   // a table an interval
  kScreen,  // the same table in the same place, on the terminal's other screen
  kJson,    // an object a line an interval
};

struct LiveStatOptions {
  StatFormat format = StatFormat::kLines;
  std::uint64_t interval_ns = 1'000'000'000;
  std::size_t limit = 0;  // rows, 0 = all, or as many as the screen holds
  std::string title{};    // "server (4711)"
};

class LiveStat : public trace::LiveSink {
 public:
  /// The first two must outlive the view.
  LiveStat(LiveOutput& out, const trace::LiveFunctions& functions, const trace::TickClock& clock,
           LiveStatOptions options);
  /// Gives the terminal back.
  ~LiveStat() override;
  LiveStat(const LiveStat&) = delete;
  LiveStat& operator=(const LiveStat&) = delete;

  void thread_started(std::uint16_t thread, const trace::LiveThread& what) override;
  void thread_ended(std::uint16_t thread) override;
  void events(std::span<const trace::LiveEvent> events) override;
  void discarded(const trace::DiscardCounts& counts) override;
  void reached(std::uint64_t time) override;
  /// Behind LiveReader::finish(): the last interval, as far as it came, and the terminal as it was, with the
  /// table since the start. Waits for the reader of the output so long at most.
  void finish(std::uint64_t patience_ns);

 private:
  struct InFlight {
    std::uint64_t calls = 0;
    std::uint64_t total = 0;
    std::uint64_t self = 0;
    std::uint64_t max = 0;
  };
  using Calls = LiveCalls<FunctionTimesSink>;

  void add_functions(std::uint32_t count);
  void begin_at(std::uint64_t time);
  void close_intervals(std::uint64_t time);
  /// Ends the interval and shows it; one that cannot be shown goes on.
  void close_interval(std::uint64_t end);
  void add_open_calls(std::uint64_t time);
  [[nodiscard]] LiveStatRow row(std::uint32_t function) const;
  [[nodiscard]] LiveTimes in_nanoseconds(const LiveTimes& ticks) const;
  [[nodiscard]] LiveStatInterval collect(std::uint64_t end);
  void show(const LiveStatInterval& interval);
  void leave_screen();

  LiveOutput& out_;
  const trace::LiveFunctions& functions_;
  trace::TickClock clock_;
  LiveStatOptions options_;
  std::uint64_t interval_;  // ticks
  std::uint32_t function_count_;
  FunctionTimesSink times_;                      // of the interval
  std::vector<FunctionTimes> before_;            // since the start, without the interval
  std::vector<InFlight> open_;                   // at the end of the interval
  std::vector<InFlight> open_before_;            // at its beginning
  std::vector<std::unique_ptr<Calls>> threads_;  // by number
  std::uint64_t thread_count_ = 0;
  std::size_t frames_ = 0;
  bool begun_ = false;
  bool on_screen_ = false;
  bool finishing_ = false;
  std::uint64_t begin_ = 0;  // of the interval, ticks
  std::uint64_t end_ = 0;
  std::uint64_t events_ = 0;
  trace::DiscardCounts discarded_{};
};

/// `width`: columns that there are, 0 = any number; without room for all, the columns since the start are
/// left out.
void append_stat_table(fmt::memory_buffer& to, const LiveStatInterval& interval,
                       const LiveStatOptions& options, const trace::LiveFunctions& functions,
                       std::size_t width, std::size_t most_rows, const char* end_of_line);
void append_stat_json(fmt::memory_buffer& to, const LiveStatInterval& interval,
                      const trace::LiveFunctions& functions, std::size_t most_rows);

}  // namespace calltap::export_
