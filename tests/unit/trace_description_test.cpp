#include <gtest/gtest.h>

#include "trace/function_names.h"
#include "trace/metadata.h"
#include "trace/session.h"
#include "trace/trace_error.h"
#include "trace_synthetic.h"

namespace calltap::test {
namespace {

namespace fs = std::filesystem;
using trace::ProcessDescription;
using trace::TraceError;

void expect_error(const fs::path& directory, TraceError::Kind kind, const std::string& phrase) {
  try {
    trace::open_session(directory);
    FAIL() << "opened " << directory;
  } catch (const TraceError& error) {
    EXPECT_EQ(static_cast<int>(error.kind()), static_cast<int>(kind)) << error.what();
    EXPECT_NE(std::string(error.what()).find(phrase), std::string::npos) << error.what();
  }
}

void replace_in(const fs::path& file, const std::string& from, const std::string& to) {
  std::string content = read_bytes(file);
  const std::size_t at = content.find(from);
  ASSERT_NE(at, std::string::npos) << from;
  content.replace(at, from.size(), to);
  write_bytes(file, content);
}

TEST(TraceDescription, ReadsBackWhatWasWritten) {
  TemporaryDirectory directory;
  ProcessDescription p = synthetic_description({"main", "odd \"name\\ \x01\xff"});
  p.functions[1].symbol = p.functions[1].name;
  add_thread(p, 7, "worker \xfe");
  p.threads[0].discarded[static_cast<std::size_t>(event::DiscardReason::kSizeLimit)] = 3;
  p.discarded = p.threads[0].discarded;
  p.end = {trace::EndKind::kSignalled, 9};
  p.on_full = buffer::OnFull::kFlight;
  p.filters = {"-F", "m*"};
  p.clock.ticks = ~std::uint64_t{0};
  p.budget = {.share = 0.05,
              .call_cost_ns = 20.5,
              .own_cpu_ns = 1000,
              .overhead_ns = 40,
              .problem = "none",
              .functions = {}};
  p.budget->functions.push_back({2, 3, true, 1234, 5678, {{10, 20}, {30, 0}}});
  const fs::path written = write_process(directory.path(), p);
  const ProcessDescription read = trace::read_description(written);
  EXPECT_EQ(read.pid, p.pid);
  EXPECT_EQ(read.command_line, p.command_line);
  EXPECT_EQ(read.uuid, p.uuid);
  EXPECT_EQ(read.host.boot_id, p.host.boot_id);
  EXPECT_EQ(read.clock.ticks, p.clock.ticks);
  EXPECT_EQ(static_cast<int>(read.end.kind), static_cast<int>(p.end.kind));
  EXPECT_EQ(read.end.value, 9);
  EXPECT_EQ(read.on_full, p.on_full);
  EXPECT_EQ(read.filters, p.filters);
  EXPECT_EQ(read.discarded, p.discarded);
  ASSERT_EQ(read.threads.size(), 1U);
  EXPECT_EQ(read.threads[0].stream, "thread-7");
  EXPECT_EQ(read.threads[0].name, "worker \xef\xbf\xbd");  // JSON is UTF-8: a stray byte becomes U+FFFD
  ASSERT_EQ(read.functions.size(), 2U);
  EXPECT_EQ(read.functions[0].name, "main");
  EXPECT_EQ(read.functions[0].symbol, "_Z0");
  EXPECT_EQ(read.functions[0].link_address, 0x1000U);
  EXPECT_EQ(read.functions[1].name, "odd \"name\\ ?\xef\xbf\xbd");  // for a terminal, see printable.h
  EXPECT_EQ(read.modules[0].build_id, p.modules[0].build_id);
  ASSERT_TRUE(read.budget.has_value());
  EXPECT_EQ(read.budget->share, 0.05);
  EXPECT_EQ(read.budget->overhead_ns, 40U);
  ASSERT_EQ(read.budget->functions.size(), 1U);
  EXPECT_EQ(read.budget->functions[0].function, 2U);
  EXPECT_TRUE(read.budget->functions[0].at_end);
  EXPECT_EQ(read.budget->functions[0].seen_calls, 1234U);
  EXPECT_EQ(read.budget->functions[0].missed_calls, 5678U);
  EXPECT_EQ(read.budget->functions[0].off, p.budget->functions[0].off);
}

TEST(TraceSession, ARecordingIsOpenUntilItsToolHasClosedIt) {
  TemporaryDirectory directory;
  ProcessDescription p = synthetic_description({"f"});
  const fs::path process = write_process(directory.path(), p);
  EXPECT_TRUE(trace::open_session(directory.path()).closed());
  EXPECT_TRUE(trace::open_session(process).closed()) << "a process directory alone";
  trace::SessionDescription open;
  ASSERT_FALSE(trace::write_session(directory.path(), open));
  EXPECT_FALSE(trace::open_session(directory.path()).closed()) << "as it is from the start";
  open.closed = true;
  ASSERT_FALSE(trace::write_session(directory.path(), open));
  p.end = {trace::EndKind::kRunning, 0};
  ASSERT_FALSE(trace::write_description(process, p));
  EXPECT_FALSE(trace::open_session(directory.path()).closed()) << "its last description was not written";
}

TEST(TraceSession, NoticesMetadataThatOthersCannotRead) {
  TemporaryDirectory directory;
  const fs::path process = write_process(directory.path(), synthetic_description({"f"}));
  const fs::path file = process / "metadata";
  const std::string good = read_bytes(file);
  EXPECT_TRUE(trace::open_session(directory.path()).problems.empty());
  const auto expect_problem = [&](const std::string& phrase) {
    for (const fs::path& opened : {directory.path(), process}) {
      const trace::Session session = trace::open_session(opened);
      EXPECT_EQ(session.processes.size(), 1U) << "it is read all the same";
      ASSERT_EQ(session.problems.size(), 1U) << phrase;
      EXPECT_NE(session.problems[0].find(phrase), std::string::npos) << session.problems[0];
    }
  };
  write_bytes(file, "");
  expect_problem("is empty");
  for (const std::string& bad : {std::string("x"), good.substr(0, 700), good.substr(0, good.size() - 2)}) {
    write_bytes(file, bad);
    expect_problem("is damaged or of another trace");
  }
  ProcessDescription other = synthetic_description({"f"});
  other.uuid[15] ^= 1;
  write_bytes(file, trace::ctf_metadata(other));
  expect_problem("is damaged or of another trace");
  fs::remove(file);
  expect_problem("No such file");
}

TEST(TraceSession, ReadsProcessesWithoutTheSessionsDescription) {
  TemporaryDirectory directory;
  write_process(directory.path(), synthetic_description({"f"}));
  fs::remove(directory.path() / ".calltap/session.json");
  const trace::Session session = trace::open_session(directory.path());
  EXPECT_EQ(session.processes.size(), 1U);
  ASSERT_EQ(session.problems.size(), 1U);
  EXPECT_NE(session.problems[0].find("session.json"), std::string::npos) << session.problems[0];
}

TEST(TraceDescription, KeepsParameters) {
  using trace::Parameter;
  TemporaryDirectory directory;
  ProcessDescription p = synthetic_description({"main", "same", "nothing known"});
  p.functions[0].parameters = {{{"argc", "int", Parameter::Kind::kSigned, 4, Parameter::Place::kInteger, 0},
                                {"", "struct s", Parameter::Kind::kUnknown, 0, Parameter::Place::kNone, 0},
                                {"x\x1b", "float", Parameter::Kind::kFloat, 4, Parameter::Place::kFloat, 7}}};
  p.functions[1].name = p.functions[1].symbol;
  p.functions[1].parameters.emplace();
  const ProcessDescription read = trace::read_description(write_process(directory.path(), p));
  p.functions[0].parameters->back().name = "x?";
  for (std::size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(read.functions[i].parameters, p.functions[i].parameters) << i;
    EXPECT_EQ(read.functions[i].name, p.functions[i].name);
  }
}

TEST(TraceDescription, MayBeWrittenAgain) {
  TemporaryDirectory directory;
  ProcessDescription p = synthetic_description({"main"});
  const fs::path written = write_process(directory.path(), p);
  p.functions.push_back({2, 0, 0x2000, "late", "late", {}});
  ASSERT_FALSE(trace::write_description(written, p));
  EXPECT_EQ(trace::read_description(written).functions.size(), 2U);
  for (const auto& entry : fs::recursive_directory_iterator(directory.path())) {
    EXPECT_NE(entry.path().extension(), ".new") << "temporary files are gone";
  }
}

TEST(TraceDescription, ReportsAWriteThatFails) {
  EXPECT_TRUE(trace::write_description("/proc/self/nowhere", synthetic_description({})));
}

TEST(TraceDescription, MakesDirectoryNamesOutOfOddProcessNames) {
  TemporaryDirectory directory;
  const auto made = [&](std::string_view comm) {
    fs::path path;
    EXPECT_FALSE(trace::create_process_directory(directory.path(), comm, 12, path));
    EXPECT_TRUE(fs::is_directory(path));
    return path.filename().string();
  };
  EXPECT_EQ(made("sh"), "sh-12");
  EXPECT_EQ(made("sh"), "sh-12-2");
  EXPECT_EQ(made("sh"), "sh-12-3");
  EXPECT_EQ(made("a/b c\n"), "a_b_c_-12");
  EXPECT_EQ(made("../x"), "_._x-12");
  EXPECT_EQ(made(""), "process-12");
  EXPECT_EQ(trace::stream_name(5, 1), "thread-5");
  EXPECT_EQ(trace::stream_name(5, 2), "thread-5-2");
}

TEST(TraceDescription, TellsFunctionsOfTheSameNameApart) {
  ProcessDescription p = synthetic_description({"main", "init", "init", "init"});
  p.modules.push_back({"/opt/libother.so", "", 0, 4, 1, 1, 0});
  p.functions[3].module = 1;
  const std::vector<std::string> names = trace::distinct_names(p);
  EXPECT_EQ(names, (std::vector<std::string>{"", "main", "init@program+0x1010", "init@program+0x1020",
                                             "init@libother.so"}));
}

TEST(TraceDescription, MetadataQuotesNames) {
  const std::string text = trace::ctf_metadata(synthetic_description({"a\"b\\c\nd"}));
  EXPECT_NE(text.find("\"a\\\"b\\\\c\\012d\" = 1"), std::string::npos) << text;
}

TEST(TraceDescription, MetadataPutsTickZeroOnTheWallClock) {
  ProcessDescription p = synthetic_description({"f"});
  p.clock = {2'000'000'000, 3'000'000'001, 0, 5'000'000'000};
  const std::string text = trace::ctf_metadata(p);
  // 5 s - 1.5000000005 s = 3 s and 999999999 ticks of half a nanosecond.
  EXPECT_NE(text.find("offset_s = 3;\n  offset = 999999999;"), std::string::npos) << text;
}

TEST(TraceSession, RefusesWhatIsNoRecording) {
  TemporaryDirectory directory;
  expect_error(directory.path() / "absent", TraceError::Kind::kNotADirectory, "No such file");
  write_bytes(directory.path() / "file", "x");
  expect_error(directory.path() / "file", TraceError::Kind::kNotADirectory, "not a directory");
  expect_error(directory.path(), TraceError::Kind::kForeign, "not a calltap recording");
  write_bytes(directory.path() / "metadata", "/* CTF 1.8 */");
  expect_error(directory.path(), TraceError::Kind::kForeign, "another tracer");
  write_bytes(directory.path() / "info", "Ftrace!\n");
  expect_error(directory.path(), TraceError::Kind::kForeign, "uftrace");
}

TEST(TraceSession, RefusesOtherVersions) {
  TemporaryDirectory directory;
  const fs::path process = write_process(directory.path(), synthetic_description({"f"}));
  const fs::path file = directory.path() / ".calltap/session.json";
  const std::string ours = "\"version\":" + std::to_string(event::kTraceVersion);
  replace_in(file, ours, "\"version\":0");
  expect_error(directory.path(), TraceError::Kind::kOlderVersion, "older than this calltap's");
  expect_error(directory.path(), TraceError::Kind::kOlderVersion, "read it with calltap 0.1.0");
  replace_in(file, "\"version\":0", "\"version\":99");
  expect_error(directory.path(), TraceError::Kind::kNewerVersion, "newer than this calltap's");
  expect_error(directory.path(), TraceError::Kind::kNewerVersion, "read it with calltap 0.1.0");
  replace_in(process / ".calltap/process.json", ours, "\"version\":0");
  expect_error(process, TraceError::Kind::kOlderVersion, "older");
}

TEST(TraceSession, SaysWhatIsWrongWithADescription) {
  TemporaryDirectory directory;
  const fs::path process = write_process(directory.path(), synthetic_description({"f"}));
  const fs::path file = process / ".calltap/process.json";
  const std::string good = read_bytes(file);
  const auto expect_corrupt = [&](const std::string& from, const std::string& to, const std::string& phrase) {
    write_bytes(file, good);
    replace_in(file, from, to);
    expect_error(directory.path(), TraceError::Kind::kCorruptDescription, phrase);
  };
  expect_corrupt("{", "", "not a JSON object");
  expect_corrupt("\"clock\"", "\"cluck\"", "clock");
  expect_corrupt("\"frequency_hz\":1000000000", "\"frequency_hz\":0", "no frequency");
  expect_corrupt("\"frequency_hz\":1000000000", "\"frequency_hz\":\"fast\"", "corrupt");
  expect_corrupt("[1,0,4096", "[0,0,4096", "function id");
  expect_corrupt("[1,0,4096", "[4294967295,0,4096", "function id");
  expect_corrupt("[1,0,4096", "[1,7,4096", "in no module");
  expect_corrupt("\"exited\"", "\"evaporated\"", "evaporated");
  fs::remove(file);
  expect_error(directory.path(), TraceError::Kind::kUnreadable, "process.json");
}

TEST(TraceSession, StreamNamesCannotLeadOutOfTheDirectory) {
  TemporaryDirectory directory;
  ProcessDescription p = synthetic_description({"f"});
  add_thread(p, 1, "t");
  for (const char* bad : {"../../secret", "..", "a/b"}) {
    p.threads[0].stream = bad;
    ASSERT_FALSE(trace::write_description(directory.path(), p));
    expect_error(directory.path(), TraceError::Kind::kCorruptDescription, "stream name");
  }
}

TEST(TraceSession, ReadsTheOtherProcessesWhenOneIsCorrupt) {
  TemporaryDirectory directory;
  const fs::path first = write_process(directory.path(), synthetic_description({"f"}));
  write_process(directory.path(), synthetic_description({"f"}));
  write_bytes(first / ".calltap/process.json", "");
  const trace::Session session = trace::open_session(directory.path());
  EXPECT_EQ(session.processes.size(), 1U);
  ASSERT_EQ(session.problems.size(), 1U);
}

TEST(TraceSession, FindsStreamsThatTheDescriptionDoesNotName) {
  TemporaryDirectory directory;
  const fs::path process = write_process(directory.path(), synthetic_description({"f"}));
  SyntheticStream stream(99, 5);
  write_bytes(process / "thread-99", stream.entry(1, 5).bytes());
  const trace::Session session = trace::open_session(process);
  ASSERT_EQ(session.processes[0].streams.size(), 1U);
  EXPECT_EQ(session.processes[0].streams[0].tid, 99U);
}

}  // namespace
}  // namespace calltap::test
