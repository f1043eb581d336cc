// How fast recordings are read: events a second, on one core, from the page cache.
#include <benchmark/benchmark.h>

#include <random>

#include "export/call_tree.h"
#include "export/function_times.h"
#include "export/report.h"
#include "trace/walk.h"
#include "trace_synthetic.h"

namespace calltap {
namespace {

constexpr std::uint64_t kEvents = 20'000'000;

enum class Shape {
  kRandom,  // entries and exits in an order that no branch predictor guesses: the worst case
  kLoops,   // the same few call trees over and over, as programs do
};

/// A recording of `functions` functions, removed at the end.
class Recording {
 public:
  Recording(std::uint32_t functions, Shape shape) {
    std::vector<std::string> names;
    for (std::uint32_t i = 0; i < functions; ++i) names.push_back("function_" + std::to_string(i));
    trace::ProcessDescription p = test::synthetic_description(names);
    test::add_thread(p, 1, "main");
    const std::filesystem::path process = test::write_process(directory_.path(), p);
    test::SyntheticStream stream(1);
    std::mt19937 random(1);
    std::vector<std::uint32_t> open;
    std::uint64_t time = 0;
    for (std::uint64_t i = 0; i < kEvents; ++i) {
      time += 20 + random() % 64;
      const bool enter = shape == Shape::kRandom ? random() % 2 == 0 : i % 8 < 4;
      if (open.empty() || (enter && open.size() < 40)) {
        open.push_back(1 +
                       (shape == Shape::kRandom ? random() : static_cast<std::uint32_t>(i / 64)) % functions);
        stream.entry(open.back(), time);
      } else {
        stream.exit(open.back(), time);
        open.pop_back();
      }
    }
    test::write_bytes(process / "thread-1", stream.bytes());
    session_ = trace::open_session(directory_.path());
  }

  [[nodiscard]] const trace::ProcessTrace& process() const { return session_.processes[0]; }
  [[nodiscard]] const trace::Session& session() const { return session_; }

 private:
  test::TemporaryDirectory directory_;
  trace::Session session_;
};

const Recording& recording(const benchmark::State& state) {
  static const Recording random_few(500, Shape::kRandom);
  static const Recording random_many(50'000, Shape::kRandom);
  static const Recording loops(2'000, Shape::kLoops);
  return state.range(0) == 0 ? loops : state.range(0) == 1 ? random_few : random_many;
}

void count_events(benchmark::State& state) {
  state.SetItemsProcessed(static_cast<std::int64_t>(state.iterations() * kEvents));
  constexpr const char* kLabels[] = {"2,000 functions in loops", "500 functions at random",
                                     "50,000 functions at random"};
  state.SetLabel(kLabels[state.range(0)]);
}

/// Decoding alone, as `info` does.
void decode(benchmark::State& state) {
  const trace::ProcessTrace& process = recording(state).process();
  for (auto _ : state) {
    trace::StreamReader reader = process.open(process.streams[0]);
    std::uint64_t sum = 0;
    while (reader.next_packet()) {
      reader.each_event([&](const trace::Event& event) { sum += event.time ^ event.function; });
    }
    benchmark::DoNotOptimize(sum);
  }
  count_events(state);
}

/// Decoding, pairing and summing, as `report` does.
void report(benchmark::State& state) {
  const trace::Session& session = recording(state).session();
  for (auto _ : state) benchmark::DoNotOptimize(export_::make_report(session, {}));
  count_events(state);
}

/// The call tree, as `graph` makes it.
void call_tree(benchmark::State& state) {
  const trace::ProcessTrace& process = recording(state).process();
  for (auto _ : state) {
    trace::StreamReader reader = process.open(process.streams[0]);
    export_::CallTree tree({});
    trace::CallStack<export_::CallTree> calls(tree, process.function_count);
    walk(reader, calls);
    benchmark::DoNotOptimize(tree.nodes().size());
  }
  count_events(state);
}

BENCHMARK(decode)->Arg(0)->Arg(1)->Unit(benchmark::kMillisecond);
BENCHMARK(report)->Arg(0)->Arg(1)->Arg(2)->Unit(benchmark::kMillisecond);
BENCHMARK(call_tree)->Arg(0)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace calltap

BENCHMARK_MAIN();
