// How many events a second the live views take, beside the threads that write them.
//
//   live_bench VIEW [EVENTS_A_SECOND] [THREADS] [SECONDS] > OUTPUT       defaults: 5000000 1 5; 0 = as fast
//   as possible
//
// VIEW is `none` (the reader alone), `calls`, `graph`, `json` or `stat`. Threads of this process write calls
// as the recorder does, with the clock, into memory that the reader drains. Says on standard error what was
// lost, and how much CPU time the reading thread took.
#include <fmt/format.h>

#include <atomic>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "export/live_stat.h"
#include "export/live_trace.h"
#include "isa/native.h"
#include "live_writer.h"
#include "trace/tick_source.h"

namespace calltap {
namespace {

constexpr std::uint32_t kFunctions = 2'000;

class Functions : public trace::LiveFunctions {
 public:
  Functions() {
    for (std::uint32_t i = 0; i < kFunctions; ++i)
      names_.push_back(fmt::format("module::function_{}(int)", i));
  }
  [[nodiscard]] std::uint32_t count() const override { return kFunctions; }
  void refresh() override {}
  [[nodiscard]] std::string_view name(std::uint32_t id) const override { return names_[id - 1]; }

 private:
  std::vector<std::string> names_;
};

class Nothing : public trace::LiveSink {
 public:
  void thread_started(std::uint16_t, const trace::LiveThread&) override {}
  void thread_ended(std::uint16_t) override {}
  void events(std::span<const trace::LiveEvent>) override {}
  void discarded(const trace::DiscardCounts&) override {}
  void reached(std::uint64_t) override {}
};

double seconds_of(clockid_t clock) {
  timespec now = {};
  ::clock_gettime(clock, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) / 1e9;
}

/// Trees of 8 calls, three deep, of ever other functions.
void write_calls(test::LiveWriter& w, std::uint32_t round) {
  const auto function = [&](std::uint32_t i) { return 1 + (round / 64 * 8 + i) % kFunctions; };
  const auto now = [] { return isa::native::read_clock(); };
  w.entry(function(0), now());
  for (std::uint32_t i = 1; i < 7; i += 3) {
    w.entry(function(i), now());
    w.entry(function(i + 1), now());
    w.exit(function(i + 1), now());
    w.entry(function(i + 2), now());
    w.exit(function(i + 2), now());
    w.exit(function(i), now());
  }
  w.entry(function(7), now());
  w.exit(function(7), now());
  w.exit(function(0), now());
}
constexpr std::uint64_t kEventsOfARound = 16;

std::uint64_t produce(buffer::Pool pool, std::uint32_t tid, double events_a_second, double seconds) {
  test::LiveWriter w(pool, tid, "producer");
  const double begin = seconds_of(CLOCK_MONOTONIC);
  std::uint64_t written = 0;
  for (std::uint32_t round = 0;;) {
    const double passed = seconds_of(CLOCK_MONOTONIC) - begin;
    if (passed >= seconds) break;
    if (events_a_second != 0 && static_cast<double>(written) > passed * events_a_second) {
      const timespec pause = {0, 200'000};
      ::nanosleep(&pause, nullptr);
      continue;
    }
    for (int i = 0; i < 32; ++i, written += kEventsOfARound) write_calls(w, round++);
  }
  w.end();
  return written;
}

int run(const std::string& view, double rate, std::uint32_t threads, double seconds) {
  const trace::TickSource source;
  const trace::ClockDescription clock = source.describe(100'000'000);
  const trace::TickClock ticks(clock);
  trace::BufferSettings buffers;
  buffers.on_full = buffer::OnFull::kDiscard;
  trace::SharedMemory memory(buffers, {});
  const test::TargetMemory target(memory.fd(), memory.bytes());
  Functions functions;
  export_::LiveOutput out(1, false);
  std::unique_ptr<trace::LiveSink> sink;
  export_::LiveTrace* trace_view = nullptr;
  if (view == "none") {
    sink = std::make_unique<Nothing>();
  } else if (view == "stat") {
    sink = std::make_unique<export_::LiveStat>(out, functions, ticks, export_::LiveStatOptions{});
  } else {
    export_::LiveTraceOptions options;
    options.format = view == "graph"  ? export_::LiveFormat::kGraph
                     : view == "json" ? export_::LiveFormat::kJson
                                      : export_::LiveFormat::kCalls;
    auto made = std::make_unique<export_::LiveTrace>(out, functions, ticks, options);
    trace_view = made.get();
    sink = std::move(made);
  }
  trace::LiveReader reader(memory, functions, *sink, trace::live_settings(clock.frequency_hz));

  std::atomic<std::uint64_t> written{0};
  std::atomic<std::uint32_t> running{threads};
  std::vector<std::thread> producers;
  for (std::uint32_t t = 0; t < threads; ++t) {
    producers.emplace_back([&, t] {
      written += produce(target.pool(), 1000 + t, rate / threads, seconds);
      --running;
    });
  }
  const double begin = seconds_of(CLOCK_MONOTONIC);
  const double begin_cpu = seconds_of(CLOCK_THREAD_CPUTIME_ID);
  std::uint64_t passes = 0;
  while (running.load() != 0) {
    ++passes;
    if (reader.pass()) continue;
    const timespec pause = {0, 10'000'000};
    ::nanosleep(&pause, nullptr);
  }
  reader.finish();
  const double took = seconds_of(CLOCK_MONOTONIC) - begin;
  const double cpu = seconds_of(CLOCK_THREAD_CPUTIME_ID) - begin_cpu;
  for (std::thread& producer : producers) producer.join();
  const trace::LiveCounts& counts = reader.counts();
  std::uint64_t discarded = 0;
  for (const std::uint64_t count : counts.discarded) discarded += count;
  fmt::print(
      stderr,
      "{}: {:.2f} M events/s written by {} threads, {:.2f} M/s seen, {} discarded ({:.3f} %), {} late, {} "
      "lines dropped; reader {:.1f} ns an event, {:.0f} % of a CPU, {} passes; {}\n",
      view, static_cast<double>(written) / took / 1e6, threads,
      static_cast<double>(counts.events) / took / 1e6, discarded,
      100.0 * static_cast<double>(discarded) / static_cast<double>(written.load()), counts.late,
      trace_view != nullptr ? trace_view->dropped() : 0, cpu / static_cast<double>(counts.events) * 1e9,
      100 * cpu / took, passes,
      counts.events + discarded == written && counts.damaged_packets == 0 ? "all accounted for" : "WRONG");
  return counts.events + discarded == written ? 0 : 1;
}

}  // namespace
}  // namespace calltap

int main(int argc, char** argv) {
  ::signal(SIGPIPE, SIG_IGN);
  if (argc < 2) {
    std::fputs("usage: live_bench none|calls|graph|json|stat [EVENTS_A_SECOND] [THREADS] [SECONDS]\n",
               stderr);
    return 2;
  }
  const double rate = argc > 2 ? std::atof(argv[2]) : 5e6;
  const auto threads = static_cast<std::uint32_t>(argc > 3 ? std::atoi(argv[3]) : 1);
  const double seconds = argc > 4 ? std::atof(argv[4]) : 5;
  return calltap::run(argv[1], rate, threads, seconds);
}
