// Recordings are untrusted: whatever bytes they hold, reading ends, and neither crashes nor invents events.
#include <gtest/gtest.h>

#include <fcntl.h>
#include <unistd.h>

#include <random>

#include "export/graph.h"
#include "export/info.h"
#include "export/replay.h"
#include "export/report.h"
#include "trace/trace_error.h"
#include "trace_synthetic.h"

namespace calltap::test {
namespace {

namespace fs = std::filesystem;
using Random = std::mt19937;

std::size_t below(Random& random, std::size_t limit) { return random() % limit; }

std::string random_stream(Random& random) {
  SyntheticStream s(1);
  std::vector<std::uint32_t> open;
  std::uint64_t time = 0;
  for (int i = 0; i < 200; ++i) {
    time += below(random, 20) == 0 ? std::uint64_t{1} << 28 : below(random, 1000);
    if (open.empty() || below(random, 2) == 0) {
      open.push_back(1 + static_cast<std::uint32_t>(below(random, 5)));
      s.entry(open.back(), time);
    } else {
      s.exit(open.back(), time);
      open.pop_back();
    }
    if (below(random, 10) == 0) {
      const auto id = below(random, 2) == 0 ? event::EventId::kArguments : event::EventId::kStack;
      std::vector<std::uint64_t> words(1 + below(random, below(random, 20) == 0 ? event::kMaxWords : 8));
      for (auto& word : words) word = below(random, 3) == 0 ? 0 : random();
      s.with_words(id, 1 + static_cast<std::uint32_t>(below(random, 5)), time,
                   static_cast<std::uint32_t>(random()), words);
    }
    if (below(random, 30) == 0) s.end_packet(below(random, 2) * 1024);
  }
  return s.bytes();
}

trace::ProcessDescription described() {
  using trace::Parameter;
  trace::ProcessDescription p = synthetic_description({"a", "b", "c", "d", "e"});
  p.functions[0].parameters = {{{"x", "int", Parameter::Kind::kSigned, 4, Parameter::Place::kInteger, 0},
                                {"y", "double", Parameter::Kind::kFloat, 8, Parameter::Place::kFloat, 1},
                                {"z", "struct s", Parameter::Kind::kUnknown, 0, Parameter::Place::kNone, 0}}};
  return p;
}

void mutate(std::string& bytes, Random& random) {
  for (std::size_t n = 1 + below(random, 4); n > 0 && !bytes.empty(); --n) {
    const std::size_t at = below(random, bytes.size());
    switch (below(random, 6)) {
      case 0:
        bytes[at] = static_cast<char>(random());
        break;
      case 1:
        bytes[at] = static_cast<char>(bytes[at] ^ (1 << below(random, 8)));
        break;
      case 2:
        bytes.resize(at);
        break;
      case 3:
        bytes.erase(at, below(random, 64));
        break;
      case 4:
        bytes.insert(at, bytes.substr(below(random, bytes.size()), below(random, 256)));
        break;
      case 5:
        bytes.replace(at, 8, 8, below(random, 2) == 0 ? '\xff' : '\0');
        break;
    }
  }
}

void read_in_every_way(const fs::path& directory, std::uint64_t max_events) {
  const int null = ::open("/dev/null", O_WRONLY | O_CLOEXEC);
  const trace::Session session = trace::open_session(directory);
  const export_::Report report = export_::make_report(session, {});
  EXPECT_LE(report.reading.events, max_events);
  {
    export_::Output out(null, false);
    print_report_text(out, report);
    print_graph_text(out, export_::make_graph(session, {}), {});
    EXPECT_EQ(export_::replay(out, session, {}).events, report.reading.events);
    const export_::Info info = export_::make_info(session);
    EXPECT_EQ(info.reading.events, report.reading.events);
    EXPECT_EQ(info.reading.damage.occurrences, report.reading.damage.occurrences);
    print_info_json(out, session, info);
  }
  ::close(null);
}

TEST(TraceFuzz, MutatedStreams) {
  TemporaryDirectory directory;
  trace::ProcessDescription p = described();
  add_thread(p, 1, "t");
  const fs::path process = write_process(directory.path(), p);
  Random random(20240817);
  for (int round = 0; round < 1500; ++round) {
    std::string bytes = random_stream(random);
    mutate(bytes, random);
    write_bytes(process / "thread-1", bytes);
    read_in_every_way(directory.path(), bytes.size() / event::kCompactBytes);
    if (HasFailure()) FAIL() << "round " << round;
  }
}

TEST(TraceFuzz, MutatedDescriptions) {
  TemporaryDirectory directory;
  trace::ProcessDescription p = described();
  add_thread(p, 1, "t");
  const fs::path process = write_process(directory.path(), p);
  Random random(7);
  const std::string stream = random_stream(random);
  write_bytes(process / "thread-1", stream);
  const std::string good = read_bytes(process / ".calltap/process.json");
  int opened = 0;
  for (int round = 0; round < 1000; ++round) {
    std::string bytes = good;
    // One digit or letter for another keeps most of it valid JSON and reaches the checks behind the parser.
    const std::size_t at = below(random, bytes.size());
    if (round % 2 == 0) {
      mutate(bytes, random);
    } else if (std::isalnum(static_cast<unsigned char>(bytes[at])) != 0) {
      bytes[at] = "0123456789abcdefz"[below(random, 17)];
    }
    write_bytes(process / ".calltap/process.json", bytes);
    try {
      read_in_every_way(directory.path(), stream.size() / event::kCompactBytes);
      ++opened;
    } catch (const trace::TraceError& error) {
      EXPECT_STRNE(error.what(), "");
    }
  }
  EXPECT_GT(opened, 100) << "the mutations are too coarse to test anything behind the parser";
}

}  // namespace
}  // namespace calltap::test
