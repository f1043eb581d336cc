// Writes the recordings that check_babeltrace is run on: make_recordings DIR makes DIR/<case> for each.
#include <cstdio>
#include <filesystem>
#include <string>
#include <vector>

#include "trace_synthetic.h"

namespace {

namespace fs = std::filesystem;
using namespace calltap;
using test::SyntheticStream;

constexpr std::uint64_t kWrap = event::kTimeMask + 1;

fs::path new_session(const fs::path& root, const char* name) {
  fs::create_directories(root / name);
  return root / name;
}

void one_process(const fs::path& session, const std::vector<std::string>& functions,
                 std::vector<SyntheticStream> streams) {
  trace::ProcessDescription p = test::synthetic_description(functions);
  for (std::size_t i = 0; i < streams.size(); ++i) {
    test::add_thread(p, 100 + static_cast<std::uint32_t>(i), "thread");
  }
  const fs::path directory = test::write_process(session, p);
  for (std::size_t i = 0; i < streams.size(); ++i) {
    test::write_bytes(directory / p.threads[i].stream, streams[i].bytes());
  }
}

/// Compact events, wraps of their time, extended events, and gaps of many wraps.
SyntheticStream wraps(std::uint32_t tid) {
  SyntheticStream s(tid);
  s.entry(1, 1000).entry(2, kWrap - 1).exit(2, kWrap).entry(2, 2 * kWrap - 1).exit(2, 3 * kWrap);
  s.entry(3, 50 * kWrap + 7).end_packet(4096).unwound(3, 50 * kWrap + 8);
  s.end_packet().end_packet().exit(1, 51 * kWrap + 7).end_packet(event::kPacketBytes);
  return s;
}

SyntheticStream many_packets(std::uint32_t tid, int calls) {
  SyntheticStream s(tid);
  std::uint64_t time = 5000;
  for (int i = 0; i < calls; ++i) {
    s.entry(1, time).entry(2, time + 10).exit(2, time + 30).exit(1, time + 35);
    time += 36;
    if (i % 1000 == 0) time += kWrap;
  }
  return s;
}

SyntheticStream words_behind(std::uint32_t tid) {
  SyntheticStream s(tid);
  std::uint64_t time = 1000;
  for (std::uint32_t i = 1; i <= event::kMaxWords; i += 5) {
    s.with_words(event::EventId::kArguments, 2, time, i,
                 std::vector<std::uint64_t>(i, i % 2 * ~std::uint64_t{0}));
    s.entry(2, time + 1)
        .with_words(event::EventId::kStack, 2, time + kWrap + 9, 0, {0, 1, 2})
        .exit(2, time + kWrap + 9);
    time += 2 * kWrap;
  }
  return s;
}

void several_processes(const fs::path& session) {
  for (int pid = 1; pid <= 3; ++pid) {
    trace::ProcessDescription p = test::synthetic_description({"main", "work"});
    p.pid = pid;
    p.name = "odd name/" + std::to_string(pid);
    p.uuid[0] = static_cast<std::uint8_t>(pid);
    test::add_thread(p, static_cast<std::uint32_t>(pid), "main");
    const fs::path directory = test::write_process(session, p);
    SyntheticStream s(static_cast<std::uint32_t>(pid));
    s.entry(1, 1000).entry(2, 2000).exit(2, 3000).exit(1, 4000);
    s.bytes()[4] = static_cast<char>(pid);  // uuid
    test::write_bytes(directory / p.threads[0].stream, s.bytes());
  }
}

void make_all(const fs::path& root) {
  one_process(new_session(root, "wraps"), {"main", "f", "g"}, {wraps(100)});
  one_process(new_session(root, "words"), {"main", "f", "g"}, {words_behind(100), wraps(101)});
  one_process(new_session(root, "packets_and_threads"), {"main", "f"},
              {many_packets(100, 20'000), many_packets(101, 3), many_packets(102, 9'000)});
  one_process(new_session(root, "empty_streams"), {"main", "f"},
              {many_packets(100, 2), SyntheticStream(101)});
  one_process(
      new_session(root, "odd_names"),
      {"operator\"\"_s(char const*)", "back\\slash", "std::vector<int, std::allocator<int> >::~vector()",
       "lambda(int)::{lambda()#1}::operator()() const"},
      {many_packets(100, 10), wraps(101)});
  one_process(new_session(root, "equal_names"), {"init", "init", "init"}, {wraps(100)});
  one_process(new_session(root, "discarded"), {"main", "f"},
              {std::move(many_packets(100, 5).end_packet().lose_packet().discarded(7).entry(1, 99 * kWrap))});
  std::vector<std::string> many;
  for (int i = 0; i < 10'000; ++i) many.push_back("function_" + std::to_string(i));
  one_process(new_session(root, "many_functions"), many, {many_packets(100, 100)});
  several_processes(new_session(root, "several_processes"));
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fputs("usage: make_recordings DIR\n", stderr);
    return 2;
  }
  make_all(argv[1]);
  return 0;
}
