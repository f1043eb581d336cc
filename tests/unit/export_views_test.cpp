#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "export/duration_text.h"
#include "export/graph.h"
#include "export/info.h"
#include "export/replay.h"
#include "export/report.h"
#include "trace_synthetic.h"

namespace calltap::test {
namespace {

namespace fs = std::filesystem;
using namespace export_;
using trace::FunctionDescription;
using trace::ProcessTrace;

/// main calls work twice, work calls leaf; a second thread throws out of thrower; idle is never called.
class ExportViews : public ::testing::Test {
 protected:
  void SetUp() override {
    trace::ProcessDescription p = synthetic_description({"main", "work(int)", "leaf", "thrower", "idle"});
    add_thread(p, 10, "main");
    add_thread(p, 11, "worker");
    process_ = write_process(directory_.path(), p);
    SyntheticStream first(10);
    first.entry(1, 1'000).entry(2, 2'000).entry(3, 2'500).exit(3, 3'000).exit(2, 22'000);
    first.entry(2, 30'000).exit(2, 31'234).exit(1, 2'001'000);
    write_bytes(process_ / "thread-10", first.bytes());
    SyntheticStream second(11);
    second.entry(4, 5'000).entry(3, 6'000).unwound(3, 7'000).unwound(4, 8'000).exit(2, 9'000).entry(4,
                                                                                                    10'000);
    write_bytes(process_ / "thread-11", second.bytes());
  }

  [[nodiscard]] trace::Session session() const { return trace::open_session(directory_.path()); }

  /// What `print` writes.
  template <class Print>
  std::string printed(Print print) {
    const fs::path file = directory_.path() / "output";
    std::FILE* const to = std::fopen(file.c_str(), "w");
    {
      Output out(::fileno(to), false);
      print(out);
    }
    std::fclose(to);
    return read_bytes(file);
  }

  std::string replayed(const ReplayOptions& options) {
    return printed([&](Output& out) { replay(out, session(), options); });
  }

  TemporaryDirectory directory_;
  fs::path process_;
};

auto named(const std::string& name) {
  return [name](const ProcessTrace&, const FunctionDescription& f) { return f.name == name; };
}

TEST_F(ExportViews, ReportSumsEachFunction) {
  const Report report = make_report(session(), {});
  EXPECT_EQ(report.reading.events, 14U);
  EXPECT_EQ(report.reading.orphaned_exits, 1U);
  EXPECT_EQ(
      printed([&](Output& out) { print_report_text(out, report); }),
      "       total         self        calls   incomplete          avg          min          max  function\n"
      "    2.000 ms     1.978 ms            1            0     2.000 ms     2.000 ms     2.000 ms  main\n"
      "   21.234 us    20.734 us            2            0    10.617 us     1.234 us    20.000 us  "
      "work(int)\n"
      "    3.000 us     2.000 us            2            1     3.000 us     3.000 us     3.000 us  thrower\n"
      "    1.500 us     1.500 us            2            0     0.750 us     0.500 us     1.000 us  leaf\n");
}

TEST_F(ExportViews, ReportSortsLimitsAndSelects) {
  const auto first_name = [&](ReportSort sort) {
    return make_report(session(), {.sort = sort, .limit = 1, .per_thread = false, .selects = nullptr})
        .tables[0]
        .rows[0]
        .name;
  };
  EXPECT_EQ(first_name(ReportSort::kSelf), "main");
  EXPECT_EQ(first_name(ReportSort::kCalls), "leaf") << "equal counts are in the order of names";
  EXPECT_EQ(first_name(ReportSort::kName), "leaf");
  EXPECT_EQ(first_name(ReportSort::kMin), "main");
  const Report limited = make_report(
      session(), {.sort = ReportSort::kAverage, .limit = 3, .per_thread = false, .selects = nullptr});
  EXPECT_EQ(limited.tables[0].rows.size(), 3U);
  EXPECT_EQ(limited.hidden_rows, 1U);
  const Report one = make_report(
      session(), {.sort = ReportSort::kMax, .limit = 0, .per_thread = false, .selects = named("leaf")});
  ASSERT_EQ(one.tables[0].rows.size(), 1U);
  EXPECT_EQ(one.tables[0].rows[0].times.calls, 2U);
}

TEST_F(ExportViews, ReportShowsThreadsApart) {
  const Report report = make_report(
      session(), {.sort = ReportSort::kTotal, .limit = 0, .per_thread = true, .selects = nullptr});
  ASSERT_EQ(report.tables.size(), 2U);
  EXPECT_EQ(report.tables[1].tid, 11U);
  ASSERT_EQ(report.tables[1].rows.size(), 2U);
  EXPECT_EQ(report.tables[1].rows[1].times.calls, 1U) << "leaf, in this thread";
}

TEST_F(ExportViews, ReportMergesProcesses) {
  trace::ProcessDescription other = synthetic_description({"main"});
  other.pid = 5000;
  other.clock.frequency_hz = 2'000'000'000;
  add_thread(other, 5000, "main");
  const fs::path directory = write_process(directory_.path(), other);
  SyntheticStream stream(5000);
  write_bytes(directory / "thread-5000", stream.entry(1, 0).exit(1, 200).bytes());
  const Report report = make_report(session(), {});
  EXPECT_EQ(report.tables[0].rows[0].name, "main");
  EXPECT_EQ(report.tables[0].rows[0].times.calls, 2U);
  EXPECT_EQ(report.tables[0].rows[0].times.min, 100U) << "in nanoseconds of its own clock";
}

TEST_F(ExportViews, ReportAsJsonAndCsv) {
  const Report report = make_report(session(), {});
  const auto json =
      nlohmann::json::parse(printed([&](Output& out) { print_report_json(out, session(), report); }));
  EXPECT_EQ(json["events"], 14);
  EXPECT_EQ(json["functions"][1]["name"], "work(int)");
  EXPECT_EQ(json["functions"][1]["total_ns"], 21'234);
  const std::string csv = printed([&](Output& out) { print_report_csv(out, report); });
  EXPECT_EQ(csv.substr(csv.find('\n') + 1, csv.find('\n', csv.find('\n') + 1) - csv.find('\n') - 1),
            "main,/opt/program,0x1000,1,2000000,1978766,2000000,2000000,2000000,0");
}

/// Names even addresses.
class EvenNames : public AddressNames {
 public:
  const AddressName& find(std::uint64_t address, bool returns) override {
    name_ = {};
    if (address % 2 != 0) return name_;
    name_ = {returns ? "caller\033[2J" : "itself", "program", address & 0xff};
    if (address % 4 != 0) name_.function.clear();
    return name_;
  }

 private:
  AddressName name_;
};

TEST_F(ExportViews, ReplayShowsStacksBelowTheirCalls) {
  constexpr auto kStack = event::EventId::kStack;
  SyntheticStream first(10);
  first.entry(1, 1'000);
  first.with_words(kStack, 2, 1'900, 0, {0x1000, 0x1004, 0x1006, 0x1007}).entry(2, 2'000).exit(2, 2'500);
  first.with_words(kStack, 3, 2'700, 1, {0x2000, 0x2004}).entry(3, 3'000).entry(2, 3'100).exit(2, 3'200);
  first.exit(3, 3'500);
  // Of functions that are not recorded: another one is entered, the caller is left, and nothing comes.
  first.with_words(kStack, 4, 3'600, 0, {0x3000, 0x3005}).entry(2, 3'700).exit(2, 3'800);
  first.with_words(kStack, 5, 3'900, 1, {0x4000}).exit(1, 4'000);
  first.with_words(kStack, 5, 4'100, 0, {0x4000});
  write_bytes(process_ / "thread-10", first.bytes());
  EvenNames names;
  ReplayOptions options;
  options.tid = 10;
  options.names = [&](const ProcessTrace&) { return &names; };
  EXPECT_EQ(replayed(options),
            "#     TID    DURATION         FUNCTION CALLS\n"
            "      10)               |  main() {\n"
            "      10)      0.500 us |    work(int);\n"
            "      10)               |      /* <- caller?[2J+0x4 [program] */\n"
            "      10)               |      /* <- program+0x6 */\n"
            "      10)               |      /* <- 0x1007 */\n"
            "      10)               |    leaf() {\n"
            "      10)               |      /* <- caller?[2J+0x4 [program] */\n"
            "      10)               |      /* <- ... */\n"
            "      10)      0.100 us |      work(int);\n"
            "      10)      0.500 us |    } /* leaf */\n"
            "      10)               |    /* thrower() */\n"
            "      10)               |      /* <- 0x3005 */\n"
            "      10)      0.100 us |    work(int);\n"
            "      10)               |    /* idle() */\n"
            "      10)               |      /* <- ... */\n"
            "      10)      3.000 us |  } /* main */\n"
            "      10)               |  /* idle() */\n");
  // Stacks are shown with the calls that are.
  options.selects = named("leaf");
  options.max_depth = 1;
  EXPECT_EQ(replayed(options),
            "#     TID    DURATION         FUNCTION CALLS\n"
            "      10)      0.500 us |  leaf();\n"
            "      10)               |    /* <- caller?[2J+0x4 [program] */\n"
            "      10)               |    /* <- ... */\n");
  options.selects = nullptr;
  options.max_depth = 0;
  options.min_time_ns = 400;
  const std::string slow = replayed(options);
  EXPECT_EQ(std::count(slow.begin(), slow.end(), '\n'), 10) << slow;
  // Nor do reports see them.
  EXPECT_EQ(make_report(session(), {}).reading.events, 21U);
  EXPECT_EQ(make_report(session(), {}).tables[0].rows.size(), 4U);
}

TEST_F(ExportViews, ReplayMergesThreadsInTheOrderOfTime) {
  EXPECT_EQ(replayed({}),
            "#     TID    DURATION         FUNCTION CALLS\n"
            "      10)               |  main() {\n"
            "      10)               |    work(int) {\n"
            "      10)      0.500 us |      leaf();\n"
            "      11)               |  thrower() {\n"
            "      11)      1.000 us |    leaf(); /* unwound */\n"
            "      11)      3.000 us |  } /* thrower, unwound */\n"
            "      11)               |  } /* work(int), entry not recorded */\n"
            "      11)               |  thrower(); /* exit not recorded */\n"
            "      10) +   20.000 us |    } /* work(int) */\n"
            "      10)      1.234 us |    work(int);\n"
            "      10) #    2.000 ms |  } /* main */\n");
}

TEST_F(ExportViews, ReplayLimits) {
  ReplayOptions depth;
  depth.tid = 10;
  depth.max_depth = 1;
  EXPECT_EQ(replayed(depth),
            "#     TID    DURATION         FUNCTION CALLS\n"
            "      10) #    2.000 ms |  main();\n");
  ReplayOptions function;
  function.selects = named("work(int)");
  function.tid = 10;
  EXPECT_EQ(replayed(function),
            "#     TID    DURATION         FUNCTION CALLS\n"
            "      10)               |  work(int) {\n"
            "      10)      0.500 us |    leaf();\n"
            "      10) +   20.000 us |  } /* work(int) */\n"
            "      10)      1.234 us |  work(int);\n");
  ReplayOptions slow;
  slow.min_time_ns = 3'000;
  EXPECT_EQ(replayed(slow),
            "#     TID    DURATION         FUNCTION CALLS\n"
            "      10)               |  main() {\n"
            "      10) +   20.000 us |    work(int);\n"
            "      11)      3.000 us |  thrower(); /* unwound */\n"
            "      10) #    2.000 ms |  } /* main */\n");
}

TEST_F(ExportViews, ReplayShowsWhereEventsAreMissing) {
  SyntheticStream s(10);
  s.entry(1, 1'000).end_packet().lose_packet().exit(1, 5'000);
  write_bytes(process_ / "thread-10", s.bytes());
  ReplayOptions options;
  options.tid = 10;
  EXPECT_EQ(replayed(options),
            "#     TID    DURATION         FUNCTION CALLS\n"
            "      10)               |  main() {\n"
            "      10)               |  /* events are missing here */\n"
            "      10)               |  } /* main, events missing */\n");
  options.min_time_ns = 1;
  EXPECT_EQ(replayed(options),
            "#     TID    DURATION         FUNCTION CALLS\n"
            "      10)               |  /* events are missing here */\n")
      << "main is not known to last that long";
}

/// main calls work for ever; the exit of the second call is lost in a gap of 1 s.
class PartialRecording : public ExportViews {
 protected:
  void SetUp() override {
    ExportViews::SetUp();
    SyntheticStream s(10);
    s.entry(1, 0).entry(2, 1'000).exit(2, 1'010).entry(2, 2'000).end_packet().discarded(7);
    s.entry(2, 1'000'002'000).exit(2, 1'000'002'020).exit(1, 1'000'003'000);
    write_bytes(process_ / "thread-10", s.bytes());
    fs::remove(process_ / "thread-11");
  }
};

TEST_F(PartialRecording, ReportChargesAGapToNoCall) {
  const Report report = make_report(session(), {});
  EXPECT_EQ(
      printed([&](Output& out) { print_report_text(out, report); }),
      "       total         self        calls   incomplete          avg          min          max  function\n"
      "    3.000 us     2.970 us            1            1            -            -            -  main\n"
      "    0.030 us     0.030 us            3            1     0.015 us     0.010 us     0.020 us  "
      "work(int)\n");
  const auto json =
      nlohmann::json::parse(printed([&](Output& out) { print_report_json(out, session(), report); }));
  EXPECT_TRUE(json["functions"][0]["max_ns"].is_null()) << "not a made-up number";
  EXPECT_EQ(json["functions"][1]["incomplete"], 1);
  EXPECT_EQ(json["functions"][1]["max_ns"], 20);
  const std::string csv = printed([&](Output& out) { print_report_csv(out, report); });
  EXPECT_NE(csv.find("main,/opt/program,0x1000,1,3000,2970,,,,1\n"), std::string::npos) << csv;
}

TEST_F(PartialRecording, GraphKeepsCallersBehindAGap) {
  const trace::Session opened = session();
  EXPECT_EQ(printed([&](Output& out) { print_graph_text(out, make_graph(opened, {}), {}); }),
            "       total         self        calls  function\n"
            "    3.000 us     2.970 us            1  main\n"
            "    0.030 us     0.030 us            3  `- work(int)\n");
}

TEST_F(ExportViews, GraphShowsTheCallTree) {
  const trace::Session opened = session();
  EXPECT_EQ(printed([&](Output& out) { print_graph_text(out, make_graph(opened, {}), {}); }),
            "       total         self        calls  function\n"
            "    2.000 ms     1.978 ms            1  main\n"
            "   21.234 us    20.734 us            2  `- work(int)\n"
            "    0.500 us     0.500 us            1     `- leaf\n"
            "    3.000 us     2.000 us            2  thrower\n"
            "    1.000 us     1.000 us            1  `- leaf\n");
}

TEST_F(ExportViews, GraphShowsCallersAndCallees) {
  GraphOptions options;
  options.selects = named("leaf");
  const trace::Session opened = session();
  EXPECT_EQ(printed([&](Output& out) { print_graph_text(out, make_graph(opened, options), options); }),
            "       total         self        calls  function\n"
            "    1.500 us     1.500 us            2  leaf\n"
            "\n"
            "leaf\n"
            "       total        calls\n"
            "  callers\n"
            "    1.000 us            1  thrower\n"
            "    0.500 us            1  work(int)\n"
            "  callees\n");
  options.selects = named("work(int)");
  const auto json = nlohmann::json::parse(
      printed([&](Output& out) { print_graph_json(out, make_graph(opened, options), options); }));
  const auto& process = json["processes"][0];
  EXPECT_EQ(process["tree"][0]["children"][0]["name"], "leaf");
  EXPECT_EQ(process["functions"][0]["callers"][0]["calls"], 2);
  EXPECT_EQ(process["functions"][0]["callees"][0]["total_ns"], 500);
}

TEST_F(ExportViews, GraphFoldsRecursion) {
  SyntheticStream s(10);
  for (std::uint64_t i = 0; i < 100'000; ++i) s.entry(1 + i % 2, i);
  for (std::uint64_t i = 100'000; i-- > 0;) s.exit(1 + i % 2, 200'000 - i);
  write_bytes(process_ / "thread-10", s.bytes());
  const trace::Session opened = session();
  const Graph graph = make_graph(opened, {});
  const std::vector<CallNode>& nodes = graph.processes[0].tree.nodes();
  ASSERT_EQ(nodes.size(), 5U) << "root, main, work, thrower and its leaf";
  EXPECT_EQ(nodes[1].calls, 50'000U);
  EXPECT_EQ(nodes[1].total, 200'000U);
  EXPECT_EQ(nodes[1].self + nodes[2].self, 200'000U);
}

TEST_F(ExportViews, GraphOfAVeryLongPathIsCutOff) {
  constexpr std::uint32_t kLevels = 100'000;
  trace::ProcessDescription p = synthetic_description(std::vector<std::string>(kLevels, "f"));
  add_thread(p, 10, "main");
  ASSERT_FALSE(trace::write_description(process_, p));
  SyntheticStream s(10);
  for (std::uint32_t i = 1; i <= kLevels; ++i) s.entry(i, i);
  write_bytes(process_ / "thread-10", s.bytes());
  std::filesystem::remove(process_ / "thread-11");
  const trace::Session opened = session();
  const Graph graph = make_graph(opened, {});
  EXPECT_EQ(graph.processes[0].tree.nodes().size(), kLevels + 1);
  const std::string text = printed([&](Output& out) { print_graph_text(out, graph, {}); });
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 501);
  const std::string json = printed([&](Output& out) { print_graph_json(out, graph, {}); });
  EXPECT_TRUE(nlohmann::json::accept(json));
}

TEST_F(ExportViews, InfoCountsAndNoticesSayWhatIsMissing) {
  trace::ProcessDescription p = trace::read_description(process_);
  p.discarded[static_cast<std::size_t>(event::DiscardReason::kBufferFull)] = 12;
  ASSERT_FALSE(trace::write_description(process_, p));
  const std::string whole = read_bytes(process_ / "thread-10");
  write_bytes(process_ / "thread-10", whole.substr(0, whole.size() - 4));
  const trace::Session opened = session();
  const Info info = make_info(opened);
  const std::string text = printed([&](Output& out) { print_info_text(out, opened, info); });
  EXPECT_NE(text.find("events         13 in 2 packets"), std::string::npos) << text;
  EXPECT_NE(text.find("discarded      12"), std::string::npos) << text;
  EXPECT_NE(text.find("build-id 00112233445566778899aabbccddeeff00112233"), std::string::npos) << text;
  EXPECT_NE(text.find("damage: truncated stream (1x)"), std::string::npos) << text;
  EXPECT_NE(text.find("exited with status 0"), std::string::npos) << text;
  const auto json = nlohmann::json::parse(printed([&](Output& out) { print_info_json(out, opened, info); }));
  EXPECT_EQ(json["processes"][0]["threads"][0]["events"], 7);
  EXPECT_EQ(json["processes"][0]["discarded"]["buffer_full"], 12);
  const std::vector<std::string> lines = notices(opened, info.reading);
  ASSERT_EQ(lines.size(), 2U);
  EXPECT_NE(lines[0].find("truncated stream (1x); 4 B missing"), std::string::npos) << lines[0];
  EXPECT_NE(lines[1].find("12 events were discarded while recording (buffer_full 12)"), std::string::npos)
      << lines[1];
}

TEST(DurationText, KeepsThreeDecimalsAndAShortNumber) {
  EXPECT_EQ(duration_text(0), "0.000 us");
  EXPECT_EQ(duration_text(42), "0.042 us");
  EXPECT_EQ(duration_text(999'999), "999.999 us");
  EXPECT_EQ(duration_text(1'000'000), "1.000 ms");
  EXPECT_EQ(duration_text(61'000'000'000), "61.000  s");
}

TEST(DurationText, MarksAreStrictlyGreater) {
  EXPECT_EQ(duration_mark(10'000), ' ');
  EXPECT_EQ(duration_mark(10'001), '+');
  EXPECT_EQ(duration_mark(100'001), '!');
  EXPECT_EQ(duration_mark(1'000'001), '#');
  EXPECT_EQ(duration_mark(10'000'001), '*');
  EXPECT_EQ(duration_mark(100'000'001), '@');
  EXPECT_EQ(duration_mark(1'000'000'000), '@');
  EXPECT_EQ(duration_mark(1'000'000'001), '$');
}

}  // namespace
}  // namespace calltap::test
