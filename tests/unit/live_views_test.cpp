// What the views of a running process print, and what they do when nobody takes it.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <random>

#include "export/live_stat.h"
#include "export/live_trace.h"

namespace calltap::test {
namespace {

using namespace export_;
using event::DiscardReason;
using trace::LiveEvent;
using trace::LiveKind;

class Functions : public trace::LiveFunctions {
 public:
  [[nodiscard]] std::uint32_t count() const override { return static_cast<std::uint32_t>(names.size()); }
  void refresh() override {}
  [[nodiscard]] std::string_view name(std::uint32_t id) const override { return names[id - 1]; }

  std::vector<std::string> names = {"main", "work(int)", "leaf"};
};

/// A pipe whose reader takes nothing until it is asked.
class Pipe {
 public:
  Pipe() {
    EXPECT_EQ(::pipe(ends_), 0);
    ::signal(SIGPIPE, SIG_IGN);
  }
  ~Pipe() {
    for (const int end : ends_) ::close(end);
  }
  Pipe(const Pipe&) = delete;
  Pipe& operator=(const Pipe&) = delete;

  [[nodiscard]] int input() const { return ends_[1]; }
  std::string take() {
    std::string text;
    char bytes[65536];
    for (pollfd ready = {ends_[0], POLLIN, 0}; ::poll(&ready, 1, 0) == 1;) {
      const ssize_t n = ::read(ends_[0], bytes, sizeof bytes);
      if (n <= 0) break;
      text.append(bytes, static_cast<std::size_t>(n));
    }
    return text;
  }

 private:
  int ends_[2] = {-1, -1};
};

/// A tick is a nanosecond; the clock's zero is at 5 s.
trace::TickClock clock_of_ns() {
  return trace::TickClock({1'000'000'000, 0, 5'000'000'000, 1'700'000'000'000'000'000});
}

LiveEvent entry(std::uint16_t thread, std::uint32_t function, std::uint64_t time) {
  return {time, function, thread, LiveKind::kEntry, false};
}
LiveEvent exit(std::uint16_t thread, std::uint32_t function, std::uint64_t time) {
  return {time, function, thread, LiveKind::kExit, false};
}
LiveEvent gap(std::uint16_t thread, std::uint64_t time) { return {time, 0, thread, LiveKind::kGap, false}; }

void send(trace::LiveSink& sink, const std::vector<LiveEvent>& events) {
  for (std::size_t at = 0; at < events.size(); at += trace::kMostAtOnce) {
    sink.events({events.data() + at, std::min(trace::kMostAtOnce, events.size() - at)});
  }
}

trace::DiscardCounts lost(DiscardReason reason, std::uint64_t events) {
  trace::DiscardCounts counts{};
  counts[static_cast<std::size_t>(reason)] = events;
  return counts;
}

constexpr std::uint64_t kMs = 1'000'000;

class LiveTraceView : public testing::Test {
 protected:
  /// `feed` gets a view with two threads.
  template <class Feed>
  std::string traced(const LiveTraceOptions& options, Feed feed) {
    LiveOutput out(pipe.input(), false);
    LiveTrace view(out, functions, clock_of_ns(), options);
    view.thread_started(0, {10, "main"});
    view.thread_started(1, {11, "worker\033[2J"});
    feed(view);
    view.finish(0);
    return pipe.take();
  }

  Functions functions;
  Pipe pipe;
};

void two_threads(LiveTrace& view) {
  send(view, {entry(0, 1, 1'000), entry(0, 2, 2'000), entry(1, 3, 2'100), exit(0, 2, 2'500),
              exit(1, 3, 2'600), entry(0, 3, 3'000), exit(0, 3, 3'500), exit(0, 1, 15'001'000)});
}

TEST_F(LiveTraceView, CallsAreLinesInTheOrderOfTime) {
  EXPECT_EQ(traced({}, two_threads),
            "#            TIME  THREAD                TID    DURATION      CALL\n"
            "         5.000001  main                  10                  > main()\n"
            "         5.000002  main                  10      0.500 us        work(int)\n"
            "         5.000002  worker?[2J            11      0.500 us      leaf()\n"
            "         5.000003  main                  10      0.500 us        leaf()\n"
            "         5.015001  main                  10 *   15.000 ms    < main()\n");
}

TEST_F(LiveTraceView, GraphShowsWhereAnotherThreadsLinesBegin) {
  EXPECT_EQ(traced({.format = LiveFormat::kGraph}, two_threads),
            "#     TID    DURATION         FUNCTION CALLS\n"
            " ---------- main-10 ----------\n"
            "      10)               |  main() {\n"
            "      10)      0.500 us |    work(int);\n"
            " ---------- worker?[2J-11 ----------\n"
            "      11)      0.500 us |  leaf();\n"
            " ---------- main-10 ----------\n"
            "      10)      0.500 us |    leaf();\n"
            "      10) *   15.000 ms |  } /* main */\n");
}

TEST_F(LiveTraceView, JsonHasAnObjectALine) {
  functions.names[1] = "work(\"\xff)";
  const std::string text = traced({.format = LiveFormat::kJson}, [](LiveTrace& view) {
    two_threads(view);
    view.discarded(lost(DiscardReason::kNoFrame, 4));
  });
  std::vector<nlohmann::json> lines;
  for (std::size_t at = 0; at < text.size(); at = text.find('\n', at) + 1)
    lines.push_back(nlohmann::json::parse(text.substr(at, text.find('\n', at) - at)));
  ASSERT_EQ(lines.size(), 6U);
  EXPECT_EQ(lines[0]["kind"], "entry");
  EXPECT_EQ(lines[0]["time_ns"], 5'000'001'000);
  EXPECT_EQ(lines[1]["kind"], "call");
  EXPECT_EQ(lines[1]["duration_ns"], 500);
  EXPECT_EQ(lines[1]["depth"], 1);
  EXPECT_EQ(lines[2]["tid"], 11);
  EXPECT_EQ(lines[4]["kind"], "exit");
  EXPECT_EQ(lines[4]["end"], "returned");
  EXPECT_EQ(lines[5]["reasons"]["no_frame"], 4);
}

/// A kStack as the live reader delivers it.
std::vector<LiveEvent> stack(std::uint16_t thread, std::uint32_t function, std::uint64_t time,
                             std::uint32_t layout, const std::vector<std::uint64_t>& words) {
  std::vector<LiveEvent> events = {{time, function, thread, LiveKind::kStack, false}};
  const auto add = [&](std::uint64_t half) {
    events.push_back({time, static_cast<std::uint32_t>(half), thread, LiveKind::kHalfWord, false});
  };
  add(words.size());
  add(layout);
  for (const std::uint64_t word : words) {
    add(word & 0xffffffff);
    add(word >> 32);
  }
  return events;
}

void with_stacks(LiveTrace& view) {
  send(view, {entry(0, 1, 1'000)});
  // Those of two threads in pieces, one between the other.
  const auto one = stack(0, 2, 2'000, 1, {0x555500001000, 0x555500002000});
  const auto other = stack(1, 3, 2'000, 0, {0x3000, 0x7fff00004000});
  std::vector<LiveEvent> mixed;
  for (std::size_t i = 0; i < one.size(); ++i) {
    mixed.push_back(one[i]);
    mixed.push_back(other[i]);
  }
  send(view, mixed);
  send(view, {entry(0, 2, 2'100), exit(0, 2, 2'600), exit(1, 1, 2'700), exit(0, 1, 3'000)});
}

TEST_F(LiveTraceView, StacksAreBelowTheirCalls) {
  EXPECT_EQ(traced({}, with_stacks),
            "#            TIME  THREAD                TID    DURATION      CALL\n"
            "         5.000001  main                  10                  > main()\n"
            "         5.000002  worker?[2J            11                  # leaf()\n"
            "                                                                <- 0x7fff00004000\n"
            "         5.000002  main                  10      0.500 us        work(int)\n"
            "                                                                  <- 0x555500002000\n"
            "                                                                  <- ...\n"
            "         5.000002  worker?[2J            11                  < main(), entry not recorded\n"
            "         5.000003  main                  10      2.000 us    < main()\n");
  const std::string graph = traced({.format = LiveFormat::kGraph}, with_stacks);
  EXPECT_NE(graph.find("      10)      0.500 us |    work(int);\n"
                       "      10)               |      /* <- 0x555500002000 */\n"
                       "      10)               |      /* <- ... */\n"),
            std::string::npos)
      << graph;
}

TEST_F(LiveTraceView, StacksInJson) {
  const std::string text = traced({.format = LiveFormat::kJson}, with_stacks);
  std::vector<nlohmann::json> lines;
  for (std::size_t at = 0; at < text.size(); at = text.find('\n', at) + 1)
    lines.push_back(nlohmann::json::parse(text.substr(at, text.find('\n', at) - at)));
  ASSERT_EQ(lines.size(), 5U);
  EXPECT_EQ(lines[1]["kind"], "stack");
  EXPECT_EQ(lines[1]["function"], "leaf");
  EXPECT_EQ(lines[1]["stack"], nlohmann::json::parse(R"([{"address":12288},{"address":140733193404416}])"));
  EXPECT_EQ(lines[1]["stack_complete"], true);
  EXPECT_EQ(lines[2]["kind"], "call");
  EXPECT_EQ(lines[2]["stack"].size(), 2U);
  EXPECT_EQ(lines[2]["stack_complete"], false);
  EXPECT_FALSE(lines[4].contains("stack"));
}

TEST_F(LiveTraceView, ACallIsShownWhileItRuns) {
  LiveOutput out(pipe.input(), false);
  LiveTrace view(out, functions, clock_of_ns(), {});
  view.thread_started(0, {10, "main"});
  view.thread_started(1, {11, "other"});
  view.reached(0);
  pipe.take();  // the header
  send(view, {entry(0, 1, 1'000), entry(1, 3, 2'000), exit(1, 3, 3'000)});
  view.reached(1 * kMs);
  EXPECT_EQ(pipe.take(), "") << "it may be a leaf, and what is behind it has to wait";
  view.reached(200 * kMs);
  EXPECT_EQ(pipe.take(),
            "         5.000001  main                  10                  > main()\n"
            "         5.000002  other                 11      1.000 us      leaf()\n");
  send(view, {exit(0, 1, 60'000 * kMs)});
  view.reached(60'001 * kMs);
  EXPECT_EQ(pipe.take(), "        65.000000  main                  10 $   59.999  s    < main()\n");
}

TEST_F(LiveTraceView, CallsFromBeforeTheStartHaveNoDuration) {
  EXPECT_EQ(traced({.format = LiveFormat::kGraph},
                   [](LiveTrace& view) {
                     send(view, {exit(0, 2, 1'000), entry(0, 3, 1'100), exit(0, 3, 1'200)});
                   }),
            "#     TID    DURATION         FUNCTION CALLS\n"
            " ---------- main-10 ----------\n"
            "      10)               |  } /* work(int), entry not recorded */\n"
            "      10)      0.100 us |  leaf();\n");
}

TEST_F(LiveTraceView, SaysWhatWasDiscardedAndWhere) {
  const std::string text = traced({.format = LiveFormat::kGraph}, [](LiveTrace& view) {
    send(view, {entry(0, 1, 1'000), entry(0, 2, 2'000), gap(0, 3'000), exit(0, 1, 4'000)});
    view.discarded(lost(DiscardReason::kBufferFull, 12'340));
    view.discarded(lost(DiscardReason::kNoFrame, 5));
    view.reached(300 * kMs);
    view.discarded(lost(DiscardReason::kBufferFull, 1));
    view.reached(300 * kMs);
    view.reached(300 * kMs);
  });
  EXPECT_EQ(text,
            "#     TID    DURATION         FUNCTION CALLS\n"
            " ---------- main-10 ----------\n"
            "      10)               |  main() {\n"
            "      10)               |    work(int); /* exit not recorded */\n"
            "      10)               |  } /* main, exit not recorded */\n"
            "      10)               |  /* events are missing here */\n"
            "      10)               |  } /* main, entry not recorded */\n"
            "[ 12,345 events discarded: buffer full 12,340, no frame 5 ]\n"
            "[ 1 event discarded: buffer full ]\n");
}

TEST_F(LiveTraceView, LimitsDepthAndDuration) {
  EXPECT_EQ(traced({.max_depth = 1}, two_threads),
            "#            TIME  THREAD                TID    DURATION      CALL\n"
            "         5.000001  main                  10 *   15.000 ms      main()\n"
            "         5.000002  worker?[2J            11      0.500 us      leaf()\n");
  EXPECT_EQ(traced({.min_time_ns = 1'000}, two_threads),
            "#            TIME  THREAD                TID    DURATION      CALL\n"
            "         5.000001  main                  10 *   15.000 ms      main()\n");
}

TEST_F(LiveTraceView, ACallThatStillRunsIsNotShownAsALongOne) {
  const std::string text = traced({.min_time_ns = 500 * kMs}, [](LiveTrace& view) {
    send(view, {entry(0, 1, 1'000), entry(1, 2, 800 * kMs)});
    view.reached(900 * kMs);
    view.reached(~std::uint64_t{0});
  });
  EXPECT_NE(text.find("> main()"), std::string::npos) << text;
  EXPECT_EQ(text.find("work"), std::string::npos) << text;
}

TEST(LiveSummary, SaysWhatIsMissing) {
  trace::LiveCounts counts;
  counts.events = 1'234;
  counts.threads_started = 1;
  EXPECT_EQ(live_summary(counts, 0), "1,234 events of 1 thread");
  counts.discarded = lost(DiscardReason::kNoFrame, 10'000);
  counts.late = 2;
  EXPECT_EQ(live_summary(counts, 3),
            "1,234 events of 1 thread; 10,000 events discarded: no frame; 3 lines dropped: the output was "
            "too slow; 2 "
            "events came late and are out of order");
}

TEST_F(LiveTraceView, ThreadNumbersAreUsedAgain) {
  const std::string text = traced({.format = LiveFormat::kGraph}, [](LiveTrace& view) {
    send(view, {entry(1, 2, 1'000)});
    view.thread_ended(1);
    view.thread_started(1, {12, "next"});
    send(view, {entry(1, 3, 2'000), exit(1, 3, 2'100)});
    view.reached(300 * kMs);
  });
  EXPECT_EQ(text,
            "#     TID    DURATION         FUNCTION CALLS\n"
            " ---------- worker?[2J-11 ----------\n"
            "      11)               |  work(int); /* exit not recorded */\n"
            " ---------- next-12 ----------\n"
            "      12)      0.100 us |  leaf();\n");
}

TEST_F(LiveTraceView, FunctionsMayComeWhileItRuns) {
  const std::string text = traced({}, [this](LiveTrace& view) {
    send(view, {entry(0, 1, 1'000)});
    functions.names.emplace_back("plugin");
    send(view, {entry(0, 4, 2'000), exit(0, 4, 3'000)});
  });
  EXPECT_NE(text.find("plugin()"), std::string::npos) << text;
}

TEST_F(LiveTraceView, ASlowOutputCostsLinesThatAreCounted) {
  constexpr std::uint64_t kCalls = 30'000;
  LiveOutput out(pipe.input(), false, 64 * 1024);
  LiveTrace view(out, functions, clock_of_ns(), {});
  view.thread_started(0, {10, "main"});
  std::vector<LiveEvent> events;
  for (std::uint64_t i = 0; i < kCalls; ++i) {
    events.push_back(entry(0, 3, 1'000 + 10 * i));
    events.push_back(exit(0, 3, 1'005 + 10 * i));
  }
  send(view, events);
  view.discarded(lost(DiscardReason::kBufferFull, 7));
  view.reached(1'000 * kMs);  // nobody reads
  EXPECT_GT(view.dropped(), 0U);
  std::string text = pipe.take();
  view.reached(1'001 * kMs);
  text += pipe.take();
  send(view, {entry(0, 2, 2'000 * kMs), exit(0, 2, 2'001 * kMs)});
  view.reached(3'000 * kMs);
  text += pipe.take();
  view.finish(0);
  text += pipe.take();
  std::uint64_t shown = 0;
  for (std::size_t at = text.find(" leaf()"); at != std::string::npos; at = text.find(" leaf()", at + 1))
    ++shown;
  EXPECT_EQ(shown + view.dropped(), kCalls);
  const std::string said = "[ " + grouped(view.dropped()) + " lines dropped: the output is too slow ]\n";
  EXPECT_NE(text.find(said + "[ 7 events discarded: buffer full ]\n"), std::string::npos)
      << text.substr(text.size() - 500);
  EXPECT_NE(text.find("work(int)\n"), std::string::npos) << "behind it everything is as before";
  EXPECT_EQ(text.back(), '\n');
}

TEST_F(LiveTraceView, AnOutputThatIsClosedEndsQuietly) {
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  LiveOutput out(ends[1], false);
  ::close(ends[0]);
  LiveTrace view(out, functions, clock_of_ns(), {});
  view.thread_started(0, {10, "main"});
  send(view, {entry(0, 3, 1'000), exit(0, 3, 1'001)});
  view.reached(300 * kMs);
  EXPECT_TRUE(out.closed());
  EXPECT_EQ(out.error(), 0);
  send(view, {entry(0, 3, 2'000), exit(0, 3, 2'001)});
  view.finish(0);
  ::close(ends[1]);
}

TEST_F(LiveTraceView, DoesNotChangeThePipeForOthers) {
  const int before = ::fcntl(pipe.input(), F_GETFL);
  traced({}, two_threads);
  EXPECT_EQ(::fcntl(pipe.input(), F_GETFL), before);
}

/// Random calls, of far more functions than are open at a time, through both kinds of stack.
TEST(LiveCalls, FindTheFramesThatStacksOfRecordingsFind) {
  struct Sink {
    struct FrameData {};
    using Frame = trace::CallStack<Sink>::Frame;
    void entered(Frame& frame, const Frame&, const Frame* same) {
      seen.emplace_back(frame.function, same == nullptr ? 0 : same->start);
    }
    void left(Frame& frame, const trace::CallSpan& span) { seen.emplace_back(frame.function, span.self); }
    void orphaned(std::uint32_t function, std::uint64_t time, trace::CallEnd) {
      seen.emplace_back(function, time);
    }
    std::vector<std::pair<std::uint32_t, std::uint64_t>> seen;
  };
  constexpr std::uint32_t kFunctions = 100'000;
  Sink recorded;
  Sink live;
  trace::CallStack<Sink> stack(recorded, kFunctions);
  trace::CallStack<Sink, LatestLiveFrames> live_stack(live, 0);
  std::mt19937 random(1);
  std::vector<std::uint32_t> open;
  for (std::uint64_t time = 1; time < 400'000; ++time) {
    if (open.size() < 2 || (open.size() < 1'000 && random() % 2 == 0)) {
      open.push_back(1 + static_cast<std::uint32_t>(random() % (time % 3 == 0 ? 10 : kFunctions)));
      stack.entry(open.back(), time);
      live_stack.entry(open.back(), time);
      continue;
    }
    // The innermost, any that is open, or any at all.
    const std::size_t at = random() % 4 != 0 ? open.size() - 1 : random() % open.size();
    const bool any = random() % 50 == 0;
    const std::uint32_t function = any ? 1 + static_cast<std::uint32_t>(random() % kFunctions) : open[at];
    if (!any) open.erase(open.begin() + static_cast<std::ptrdiff_t>(at));
    stack.exit(function, time, trace::CallEnd::kReturned);
    live_stack.exit(function, time, trace::CallEnd::kReturned);
  }
  EXPECT_EQ(recorded.seen, live.seen);
}

TEST(LiveCalls, StartAnewWhereThereAreTooManyOpenCalls) {
  ReplayLimits limits;
  limits.max_depth = 1;
  ReplayLines lines(limits);
  LiveCalls<ReplayLines> calls(lines);
  std::size_t frames = 0;
  bool bounded = false;
  for (std::uint64_t time = 1; time < 2 * kMostFrames && !bounded; ++time) {
    calls.apply(entry(0, 1, time));
    bounded = calls.bound(frames);
    ASSERT_LE(frames, 2 * kMostFrames);
  }
  EXPECT_TRUE(bounded);
  EXPECT_LT(calls.stack().frames_in_memory(), 1'000U);
}

class LiveStatView : public testing::Test {
 protected:
  static constexpr std::uint64_t kSecond = 1'000'000'000;

  std::string stat(LiveStatOptions options, const std::function<void(LiveStat&)>& feed) {
    LiveOutput out(pipe.input(), false);
    {
      LiveStat view(out, functions, clock_of_ns(), std::move(options));
      view.thread_started(0, {10, "main"});
      view.reached(kSecond);
      feed(view);
      view.finish(0);
    }
    return pipe.take();
  }

  Functions functions;
  Pipe pipe;
};

/// main is entered and never left; work takes 100 ms of the first second and a call of it 1.5 s from there
/// on.
void two_seconds(LiveStat& view) {
  send(view, {entry(0, 1, kMs * 1'200), entry(0, 2, kMs * 1'300), exit(0, 2, kMs * 1'400),
              entry(0, 2, kMs * 1'500)});
  view.reached(kMs * 2'100);
  view.discarded(lost(DiscardReason::kBufferFull, 1'234));
  send(view, {exit(0, 2, kMs * 2'900)});
  view.reached(kMs * 3'000);
}

TEST_F(LiveStatView, LinesAnInterval) {
  EXPECT_EQ(stat({.title = "server (10)"}, two_seconds),
            "server (10) at 7.000 s: 4 events in 1.000 s, 1 thread\n"
            "                       last interval                        |                       since the "
            "start                       \n"
            "      calls       total        self         avg         max |       calls       total        "
            "self         avg         max  function\n"
            "          1  800.000 ms  200.000 ms           -  800.000 ms |           1  800.000 ms  200.000 "
            "ms           -  800.000 ms  main (1 running)\n"
            "          2  600.000 ms  600.000 ms  100.000 ms  500.000 ms |           2  600.000 ms  600.000 "
            "ms  100.000 ms  500.000 ms  work(int) (1 running)\n"
            "\n"
            "server (10) at 8.000 s: 1 events in 1.000 s, 1 thread\n"
            "[ 1,234 events discarded: buffer full ]\n"
            "                       last interval                        |                       since the "
            "start                       \n"
            "      calls       total        self         avg         max |       calls       total        "
            "self         avg         max  function\n"
            "          0    1.000  s  100.000 ms           -    1.800  s |           1    1.800  s  300.000 "
            "ms           -    1.800  s  main (1 running)\n"
            "          0  900.000 ms  900.000 ms    1.400  s    1.400  s |           2    1.500  s    1.500  "
            "s  750.000 ms    1.400  s  work(int)\n"
            "\n");
}

TEST_F(LiveStatView, ExitsWithoutEntriesAreNoCalls) {
  const std::string text = stat({.format = StatFormat::kJson}, [](LiveStat& view) {
    send(view, {exit(0, 1, kMs * 1'200), entry(0, 3, kMs * 1'300), exit(0, 3, kMs * 1'301)});
    view.reached(kMs * 2'000);
  });
  const auto json = nlohmann::json::parse(text);
  ASSERT_EQ(json["functions"].size(), 1U);
  EXPECT_EQ(json["functions"][0]["name"], "leaf");
}

TEST_F(LiveStatView, JsonHasAnObjectAnInterval) {
  const std::string text = stat({.format = StatFormat::kJson}, two_seconds);
  const std::size_t end = text.find('\n');
  const auto first = nlohmann::json::parse(text.substr(0, end));
  const auto second = nlohmann::json::parse(text.substr(end + 1));
  EXPECT_EQ(first["time_ns"], 7'000'000'000);
  EXPECT_EQ(first["interval_ns"], kSecond);
  EXPECT_EQ(first["functions"][1]["calls"], 2);
  EXPECT_EQ(first["functions"][1]["running"], 1);
  EXPECT_TRUE(first["functions"][0]["avg_ns"].is_null());
  EXPECT_EQ(second["discarded"]["buffer_full"], 1'234);
  EXPECT_EQ(second["functions"][1]["since_start"]["total_ns"], 1'500 * kMs);
}

TEST_F(LiveStatView, CallsThatAGapCutsOffCountUntilThen) {
  const std::string text = stat({.format = StatFormat::kJson}, [](LiveStat& view) {
    send(view,
         {entry(0, 1, kMs * 1'100), entry(0, 3, kMs * 1'200), gap(0, kMs * 1'500), exit(0, 1, kMs * 1'600)});
    view.reached(kMs * 2'000);
  });
  const auto json = nlohmann::json::parse(text);
  EXPECT_EQ(json["functions"][0]["name"], "main");
  EXPECT_EQ(json["functions"][0]["calls"], 1);
  EXPECT_EQ(json["functions"][0]["total_ns"], 100 * kMs);
  EXPECT_EQ(json["functions"][0]["running"], 0);
}

TEST_F(LiveStatView, AnIntervalThatTheToolMissedIsPartOfALongerOne) {
  const std::string text = stat({.format = StatFormat::kJson}, [](LiveStat& view) {
    send(view, {entry(0, 3, kMs * 1'100), exit(0, 3, kMs * 1'200)});
    view.reached(kMs * 5'500);
  });
  EXPECT_EQ(nlohmann::json::parse(text)["interval_ns"], 4 * kSecond);
}

TEST_F(LiveStatView, ASlowOutputGetsLongerIntervalsAndLosesNothing) {
  LiveOutput out(pipe.input(), false, 64 * 1024);
  LiveStat view(out, functions, clock_of_ns(), {.format = StatFormat::kJson});
  view.thread_started(0, {10, "main"});
  view.reached(kSecond);
  std::uint64_t calls = 0;
  std::string text;
  for (std::uint64_t s = 1; s < 2'000; ++s) {
    send(view, {entry(0, 3, s * kSecond + 1), exit(0, 3, s * kSecond + 2)});
    ++calls;
    view.reached((s + 1) * kSecond);
  }
  text = pipe.take();
  view.reached(2'001 * kSecond);
  view.finish(0);
  for (std::string more = pipe.take(); !more.empty(); more = pipe.take()) {
    text += more;
    out.flush();
  }
  std::uint64_t told = 0;
  std::uint64_t objects = 0;
  for (std::size_t at = 0; at < text.size(); at = text.find('\n', at) + 1, ++objects) {
    const auto json = nlohmann::json::parse(text.substr(at, text.find('\n', at) - at));
    if (!json["functions"].empty()) told += json["functions"][0]["calls"].get<std::uint64_t>();
  }
  EXPECT_EQ(told, calls);
  EXPECT_LT(objects, 1'999U);
}

/// A terminal of 60 columns and 7 rows.
class Terminal {
 public:
  Terminal() : master_(::posix_openpt(O_RDWR | O_NOCTTY)) {
    EXPECT_EQ(::grantpt(master_), 0);
    EXPECT_EQ(::unlockpt(master_), 0);
    slave_ = ::open(::ptsname(master_), O_RDWR | O_NOCTTY);
    resize(7, 60);
  }
  ~Terminal() {
    ::close(slave_);
    ::close(master_);
  }
  Terminal(const Terminal&) = delete;
  Terminal& operator=(const Terminal&) = delete;

  void resize(unsigned short rows, unsigned short columns) const {
    const winsize size = {rows, columns, 0, 0};
    EXPECT_EQ(::ioctl(master_, TIOCSWINSZ, &size), 0);
  }
  [[nodiscard]] int fd() const { return slave_; }
  std::string take() const {
    char bytes[65536];
    std::string text;
    for (pollfd ready = {master_, POLLIN, 0}; ::poll(&ready, 1, 50) == 1 && (ready.revents & POLLIN) != 0;) {
      const ssize_t n = ::read(master_, bytes, sizeof bytes);
      if (n <= 0) break;
      text.append(bytes, static_cast<std::size_t>(n));
    }
    return text;
  }

 private:
  int master_;
  int slave_ = -1;
};

TEST_F(LiveStatView, FitsTheTerminalAndGivesItBack) {
  functions.names.assign(50, "function");
  const Terminal terminal;
  std::string text;
  {
    LiveOutput out(terminal.fd(), false);
    LiveStat view(out, functions, clock_of_ns(), {.format = StatFormat::kScreen});
    view.thread_started(0, {10, "main"});
    view.reached(kSecond);
    const auto call_all = [&](std::uint64_t time) {
      for (std::uint32_t f = 1; f <= 50; ++f) send(view, {entry(0, f, time + f), exit(0, f, time + f)});
    };
    call_all(kSecond);
    view.reached(2 * kSecond);
    text = terminal.take();
    EXPECT_EQ(text.find("\033[?1049h\033[?25l\033[H"), 0U) << text;
    EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 5) << "of 7 lines; " << text;
    terminal.resize(20, 60);
    call_all(2 * kSecond);
    view.reached(3 * kSecond);
    text = terminal.take();
    EXPECT_EQ(text.find("\033[H"), 0U) << "in the same place; " << text;
    EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 18);
    for (std::size_t at = 3; at < text.size();) {
      const std::size_t end = std::min(text.find("\033[K", at), text.size());
      EXPECT_LE(end - at, 60U);
      at = std::min(text.find('\n', end), text.size() - 1) + 1;
    }
    view.finish(0);
    text = terminal.take();
    EXPECT_EQ(text.find("\033[?25h\033[?1049l"), 0U) << text;
  }
  EXPECT_EQ(terminal.take(), "") << "once";
}

TEST_F(LiveStatView, GivesTheTerminalBackAlsoWhenItIsNotFinished) {
  const Terminal terminal;
  LiveOutput out(terminal.fd(), false);
  {
    LiveStat view(out, functions, clock_of_ns(), {.format = StatFormat::kScreen});
    view.reached(kSecond);
    view.reached(2 * kSecond);
    terminal.take();
  }
  EXPECT_EQ(terminal.take(), "\033[?25h\033[?1049l");
}

}  // namespace
}  // namespace calltap::test
