// What the reader of a running process delivers, and in which order, whatever the target does meanwhile.
#include "trace/live_reader.h"

#include <gtest/gtest.h>

#include <atomic>
#include <map>
#include <memory>
#include <random>
#include <thread>

#include "live_writer.h"

namespace calltap::test {
namespace {

using event::DiscardReason;
using trace::LiveEvent;
using trace::LiveKind;

constexpr std::uint64_t kHoldBack = 50;
constexpr std::uint64_t kFuture = 1'000;

std::uint64_t now = 0;  // what the reader's clock says

class Functions : public trace::LiveFunctions {
 public:
  [[nodiscard]] std::uint32_t count() const override { return known; }
  void refresh() override {
    ++refreshed;
    known = announced;
  }
  [[nodiscard]] std::string_view name(std::uint32_t) const override { return "f"; }

  std::uint32_t known = 100;
  std::uint32_t announced = 100;
  int refreshed = 0;
};

/// Keeps everything that is delivered.
class Seen : public trace::LiveSink {
 public:
  void thread_started(std::uint16_t thread, const trace::LiveThread& what) override {
    EXPECT_FALSE(threads.contains(thread));
    threads[thread] = what;
    started.push_back(what.name);
  }
  void thread_ended(std::uint16_t thread) override {
    EXPECT_TRUE(threads.contains(thread));
    ended.push_back(threads[thread].name);
    threads.erase(thread);
  }
  void events(std::span<const LiveEvent> batch) override {
    EXPECT_LE(batch.size(), trace::kMostAtOnce);
    for (const LiveEvent& e : batch) {
      EXPECT_TRUE(threads.contains(e.thread));
      all.push_back(e);
      tids.push_back(threads[e.thread].tid);
    }
  }
  void discarded(const trace::DiscardCounts& counts) override {
    for (std::size_t i = 0; i < counts.size(); ++i) lost[i] += counts[i];
    ++losses;
  }
  void reached(std::uint64_t time) override {
    EXPECT_GE(time, reached_time);
    reached_time = time;
  }

  [[nodiscard]] std::vector<std::uint64_t> times() const {
    std::vector<std::uint64_t> found;
    for (const LiveEvent& e : all) found.push_back(e.time);
    return found;
  }

  std::map<std::uint16_t, trace::LiveThread> threads;
  std::vector<std::string> started;
  std::vector<std::string> ended;
  std::vector<LiveEvent> all;
  std::vector<std::uint32_t> tids;  // of the same events: numbers of threads are used again
  trace::DiscardCounts lost{};
  int losses = 0;
  std::uint64_t reached_time = 0;
};

constexpr std::uint32_t kPackets = 6;
constexpr std::uint32_t kShare = 3;

class LiveReader : public testing::Test {
 protected:
  LiveReader() { now = 1'000; }

  void make(std::uint32_t packets = kPackets, std::uint32_t share = kShare) {
    reader.reset();
    target.reset();
    trace::BufferSettings buffers;
    buffers.on_full = buffer::OnFull::kDiscard;
    buffers.bytes_per_thread = share * event::kPacketBytes;
    buffers.bytes_in_total = packets * event::kPacketBytes;
    memory = std::make_unique<trace::SharedMemory>(buffers, std::array<std::uint8_t, 16>{});
    target = std::make_unique<TargetMemory>(memory->fd(), memory->bytes());
    settings.hold_back = kHoldBack;
    settings.future = kFuture;
    settings.clock = [] { return now; };
    reader = std::make_unique<trace::LiveReader>(*memory, functions, seen, settings);
  }
  LiveWriter writer(std::uint32_t tid, const char* name = "thread") {
    return LiveWriter(target->pool(), tid, name);
  }
  /// A pass when this time is long over.
  void pass_after(std::uint64_t time) {
    now = std::max(now, time + kHoldBack);
    reader->pass();
  }
  using Times = std::vector<std::uint64_t>;

  trace::LiveSettings settings;
  Functions functions;
  Seen seen;
  std::unique_ptr<trace::SharedMemory> memory;
  std::unique_ptr<TargetMemory> target;
  std::unique_ptr<trace::LiveReader> reader;
};

TEST_F(LiveReader, ShowsEventsOfPacketsThatAreNotFull) {
  make();
  LiveWriter w = writer(10, "worker");
  w.entry(7, 1'000);
  pass_after(1'000);
  ASSERT_EQ(seen.all.size(), 1U);
  EXPECT_EQ(seen.all[0].kind, LiveKind::kEntry);
  EXPECT_EQ(seen.all[0].function, 7U);
  EXPECT_EQ(seen.threads[seen.all[0].thread].name, "worker");
  EXPECT_EQ(seen.threads[seen.all[0].thread].tid, 10U);
  pass_after(1'100);
  EXPECT_EQ(seen.all.size(), 1U) << "once";
  w.exit(7, 1'200);
  pass_after(1'200);
  EXPECT_EQ(seen.times(), (Times{1'000, 1'200}));
}

TEST_F(LiveReader, ShowsNoEventTwiceWhenItsPacketIsQueuedLater) {
  make();
  LiveWriter w = writer(10);
  w.entry(1, 1'000).entry(2, 1'010);
  pass_after(1'010);
  w.exit(2, 1'100);
  w.close_and_queue();
  w.entry(3, 1'110);
  pass_after(1'110);
  EXPECT_EQ(seen.times(), (Times{1'000, 1'010, 1'100, 1'110}));
  EXPECT_EQ(reader->counts().packets, 1U);
}

TEST_F(LiveReader, HoldsBackUntilEveryThreadHadItsTime) {
  make();
  LiveWriter a = writer(10);
  LiveWriter b = writer(11);
  a.entry(1, 1'000).entry(2, 1'020).entry(3, 1'060);
  now = 1'040;
  reader->pass();
  EXPECT_TRUE(seen.all.empty());
  b.entry(4, 1'010);  // it was preempted between its clock and this
  pass_after(1'020);
  EXPECT_EQ(seen.times(), (Times{1'000, 1'010, 1'020}));
  EXPECT_EQ(reader->counts().late, 0U);
  EXPECT_EQ(reader->pending(), 1U);
}

TEST_F(LiveReader, MergesManyThreadsInTheOrderOfTime) {
  make(64, 8);
  constexpr std::uint32_t kThreads = 7;
  std::vector<LiveWriter> writers;
  for (std::uint32_t i = 0; i < kThreads; ++i) writers.push_back(writer(10 + i));
  std::mt19937 random(1);
  std::uint64_t time = 1'000;
  std::uint64_t written = 0;
  for (int round = 0; round < 40; ++round) {
    for (int i = 0; i < 3'000; ++i, ++written) {
      // Runs of one thread, and turns.
      LiveWriter& w = writers[random() % (round % 2 == 0 ? kThreads : 1)];
      w.entry(1 + static_cast<std::uint32_t>(written % 50), time += random() % 3);
    }
    now = time;
    reader->pass();
  }
  reader->finish();
  ASSERT_EQ(seen.all.size(), written);
  EXPECT_TRUE(std::is_sorted(seen.all.begin(), seen.all.end(),
                             [](const auto& a, const auto& b) { return a.time < b.time; }));
  EXPECT_EQ(reader->counts().late, 0U);
  EXPECT_EQ(reader->counts().damaged_packets, 0U);
}

TEST_F(LiveReader, DeliversLateEventsAtOnceAndSaysSo) {
  make();
  LiveWriter a = writer(10);
  LiveWriter b = writer(11);
  b.entry(1, 900);
  a.entry(1, 2'000);
  pass_after(2'000);
  b.entry(2, 1'500).entry(3, 2'001);
  pass_after(2'001);
  ASSERT_EQ(seen.times(), (Times{900, 2'000, 1'500, 2'001}));
  EXPECT_TRUE(seen.all[2].late);
  EXPECT_FALSE(seen.all[3].late);
  EXPECT_EQ(reader->counts().late, 1U);
}

TEST_F(LiveReader, GivesFullPacketsBackAtOnce) {
  make();
  LiveWriter w = writer(10);
  std::uint64_t time = 1'000;
  for (std::uint32_t i = 0; i < 20 * kShare; ++i) {
    ASSERT_TRUE(w.open(++time));
    w.entry(1, time);
    w.close_and_queue();
    reader->pass();
  }
  reader->finish();
  EXPECT_EQ(seen.all.size(), 20U * kShare);
  EXPECT_EQ(reader->counts().discarded, trace::DiscardCounts{});
}

TEST_F(LiveReader, LooksAtNothingOfAPacketsLastUser) {
  make(4, 2);
  LiveWriter w = writer(10);
  for (std::uint64_t i = 0; i < 100; ++i) w.entry(1, 1'000 + i);
  w.close_and_queue();
  reader->pass();
  const std::uint32_t used = w.packet();
  // The next owner has claimed it and written nothing yet, not even zeros.
  ASSERT_EQ(target->pool().claim_packet(w.slot()), used);
  const auto* words = reinterpret_cast<const std::uint64_t*>(target->pool().packet(used));
  EXPECT_TRUE(std::all_of(words, words + event::kPacketBytes / 8, [](auto word) { return word == 0; }));
  reader->finish();
  EXPECT_EQ(seen.all.size(), 100U);
}

TEST_F(LiveReader, WaitsForTheSecondHalfOfAnEvent) {
  make();
  LiveWriter w = writer(10);
  w.entry(1, 1'000);
  const event::ExtendedEvent e = event::extended_event(event::EventId::kExit, 1'100, 1);
  w.word(e.low);
  pass_after(1'100);
  EXPECT_EQ(seen.all.size(), 1U);
  w.word(e.high);
  pass_after(1'100);
  EXPECT_EQ(seen.times(), (Times{1'000, 1'100}));
  EXPECT_EQ(seen.all[1].kind, LiveKind::kExit);
}

TEST_F(LiveReader, ShowsWordsBehindEvents) {
  make();
  LiveWriter w = writer(10);
  LiveWriter other = writer(11);
  const std::vector<std::uint64_t> words = {0, ~std::uint64_t{0}, 0x123456789abcdef0};
  w.with_words(event::EventId::kArguments, 7, 1'000, 5, words).entry(7, 1'010).exit(7, 1'020);
  other.entry(9, 1'000).exit(9, 1'005);
  pass_after(1'020);
  std::vector<LiveEvent> of_w;
  for (std::size_t i = 0; i < seen.all.size(); ++i) {
    if (seen.tids[i] == 10) of_w.push_back(seen.all[i]);
  }
  ASSERT_EQ(of_w.size(), 1 + 2 * (1 + words.size()) + 2);
  EXPECT_EQ(of_w[0].kind, LiveKind::kArguments);
  EXPECT_EQ(of_w[0].function, 7U);
  for (std::size_t i = 0; i <= words.size(); ++i) {
    EXPECT_EQ(of_w[1 + 2 * i].kind, LiveKind::kHalfWord);
    const std::uint64_t word = of_w[1 + 2 * i].function | std::uint64_t{of_w[2 + 2 * i].function} << 32;
    EXPECT_EQ(word, i == 0 ? event::words_header(3, 5) : words[i - 1]);
  }
  EXPECT_EQ(of_w.back().kind, LiveKind::kExit);
  EXPECT_EQ(reader->counts().events, 5U);
}

TEST_F(LiveReader, StopsAtWordsThatCannotBe) {
  for (const std::uint32_t count : {0U, event::kMaxWords + 1, ~0U}) {
    make();
    seen = Seen{};
    LiveWriter w = writer(10);
    w.entry(1, 1'000).word(event::compact_event(event::EventId::kArguments, 1'001, 1));
    w.word(event::words_header(count, 0)).word(1).word(2);
    pass_after(1'001);
    EXPECT_EQ(seen.times(), Times{1'000}) << count;
    EXPECT_EQ(reader->counts().damaged_packets, 1U) << count;
  }
}

TEST_F(LiveReader, KnowsTheTimeOfAThreadThatWasSilentForLong) {
  make();
  LiveWriter w = writer(10);
  w.entry(1, 1'000);
  pass_after(1'000);
  const std::uint64_t later = 1'000 + (std::uint64_t{1} << 40);
  now = later;
  w.exit(1, later).entry(1, later + 5);
  pass_after(later + 5);
  EXPECT_EQ(seen.times(), (Times{1'000, later, later + 5}));
}

TEST_F(LiveReader, FollowsAPacketThatItsWriterMoves) {
  make();
  LiveWriter w = writer(10);
  w.entry(1, 1'000);
  pass_after(1'000);
  w.entry(2, 1'001);
  const std::uint32_t before = w.packet();
  ASSERT_TRUE(w.move());
  ASSERT_NE(w.packet(), before);
  pass_after(1'001);  // moved, not queued
  w.queue();
  w.entry(3, 1'002);
  pass_after(1'002);
  w.give_back();
  pass_after(1'003);
  EXPECT_EQ(seen.times(), (Times{1'000, 1'001, 1'002}));
  EXPECT_EQ(reader->counts().lost_packets, 0U);
}

TEST_F(LiveReader, GoesOnBehindAPacketThatWasLost) {
  make(4, 2);
  LiveWriter other = writer(9);
  LiveWriter w = writer(10);
  w.entry(1, 1'000).entry(2, 1'001);
  pass_after(1'001);
  // No other packet is left to move it to.
  other.open(1'000);
  other.close_and_queue();
  other.open(1'000);
  other.close_and_queue();
  LiveWriter third = writer(11);
  third.open(1'000);
  ASSERT_FALSE(w.move());
  w.give_back();
  pass_after(1'002);
  w.exit(1, 1'003);
  pass_after(1'003);
  pass_after(1'003);
  ASSERT_EQ(seen.times(), (Times{1'000, 1'001, 1'003, 1'003}));
  EXPECT_EQ(seen.all[2].kind, LiveKind::kGap);
  EXPECT_EQ(reader->counts().lost_packets, 1U);
  EXPECT_EQ(reader->counts().seen_of_lost, 2U);
  EXPECT_EQ(seen.lost[static_cast<std::size_t>(DiscardReason::kBufferFull)], 2U);
}

TEST_F(LiveReader, CountsWhatIsDiscardedExactlyAndMarksWhere) {
  make(4, 2);
  LiveWriter w = writer(10);
  std::uint64_t time = 1'000;
  std::uint64_t written = 0;
  for (; w.has_packet() || written == 0 || target->pool().thread(w.slot()).discarded[0] < 1'000; ++written)
    w.entry(1, ++time);
  pass_after(time);
  const std::uint64_t shown = seen.all.size();
  EXPECT_EQ(seen.lost[static_cast<std::size_t>(DiscardReason::kBufferFull)], 1'000U);
  EXPECT_EQ(shown + 1'000, written);
  w.entry(2, ++time);
  w.discard(DiscardReason::kNoFrame, 3);
  w.entry(3, ++time);
  pass_after(time);
  ASSERT_EQ(seen.all.size(), shown + 3);
  EXPECT_EQ(seen.all[shown].kind, LiveKind::kGap);
  EXPECT_EQ(seen.all[shown + 1].function, 2U);
  EXPECT_EQ(seen.all[shown + 2].function, 3U);
  EXPECT_EQ(seen.lost[static_cast<std::size_t>(DiscardReason::kNoFrame)], 3U);
  target->pool().control().slotless_discarded.fetch_add(17);
  pass_after(time);
  EXPECT_EQ(seen.lost[static_cast<std::size_t>(DiscardReason::kNoThreadSlot)], 17U);
  EXPECT_EQ(reader->counts().discarded, seen.lost);
  const int losses = seen.losses;
  pass_after(time);
  EXPECT_EQ(seen.losses, losses) << "nothing new";
}

TEST_F(LiveReader, SlotsAreUsedAgainByNewThreads) {
  make();
  for (std::uint32_t i = 0; i < 50; ++i) {
    LiveWriter w = writer(100 + i, i % 2 == 0 ? "even" : "odd");
    ASSERT_EQ(w.slot(), 0U);
    w.entry(1, now).exit(1, now + 1);
    w.discard(DiscardReason::kInHandler, 2);
    w.end();
    pass_after(now + 1);
  }
  EXPECT_EQ(reader->counts().events, 100U);
  EXPECT_EQ(reader->counts().threads_started, 50U);
  EXPECT_EQ(reader->counts().threads_ended, 50U);
  EXPECT_EQ(seen.started.size(), 50U);
  EXPECT_EQ(seen.started[1], "odd");
  EXPECT_EQ(seen.ended, seen.started);
  EXPECT_EQ(seen.lost[static_cast<std::size_t>(DiscardReason::kInHandler)], 100U);
  EXPECT_TRUE(seen.threads.empty());
}

TEST_F(LiveReader, AThreadsEndIsToldBehindItsLastEvent) {
  make();
  LiveWriter w = writer(10);
  w.entry(1, 1'000);
  w.end();
  reader->pass();
  EXPECT_TRUE(seen.all.empty()) << "held back";
  EXPECT_TRUE(seen.ended.empty());
  LiveWriter next = writer(11, "next");
  EXPECT_EQ(next.slot(), w.slot()) << "given back already";
  next.entry(1, 1'001);
  pass_after(1'001);
  EXPECT_EQ(seen.times(), (Times{1'000, 1'001}));
  EXPECT_EQ(seen.ended.size(), 1U);
}

TEST_F(LiveReader, AClaimedSlotThatStillHasItsLastUsersCountsIsNotCounted) {
  make();
  LiveWriter w = writer(10);
  w.discard(DiscardReason::kBufferFull, 5);
  w.end();
  pass_after(1'000);
  buffer::ThreadSlot& slot = target->pool().thread(0);
  slot.tid.store(11);  // the first step of claim_thread()
  pass_after(1'000);
  slot.incarnation.fetch_add(1);  // the second
  pass_after(1'000);
  EXPECT_EQ(reader->counts().discarded[0], 5U);
}

TEST_F(LiveReader, AsksForFunctionsThatItHasNotHeardOf) {
  make();
  functions.known = 5;
  functions.announced = 8;
  reader = std::make_unique<trace::LiveReader>(*memory, functions, seen, settings);
  LiveWriter w = writer(10);
  w.entry(8, 1'000).entry(9, 1'001);
  pass_after(1'001);
  ASSERT_EQ(seen.all.size(), 1U);
  EXPECT_EQ(seen.all[0].function, 8U);
  EXPECT_EQ(reader->counts().damaged_packets, 1U) << "nobody announced 9";
  pass_after(1'001);
  EXPECT_EQ(functions.refreshed, 2) << "once a packet";
}

TEST_F(LiveReader, SkipsTheRestOfADamagedPacketOnly) {
  make();
  LiveWriter w = writer(10);
  w.entry(1, 1'000).word(event::compact_event(static_cast<event::EventId>(9), 1'001, 1));
  w.entry(1, 1'002);
  pass_after(1'002);
  w.close_and_queue();
  w.entry(2, 1'003);
  pass_after(1'003);
  ASSERT_EQ(seen.times(), (Times{1'000, 1'003, 1'003}));
  EXPECT_EQ(seen.all[1].kind, LiveKind::kGap);
  EXPECT_EQ(reader->counts().damaged_packets, 1U);
}

TEST_F(LiveReader, EventsOfTheFutureAreNotWaitedFor) {
  make();
  LiveWriter w = writer(10);
  w.entry(1, 1'000).entry(1, 1'000 + (std::uint64_t{1} << 50));
  w.close_and_queue();
  LiveWriter other = writer(11);
  other.entry(1, 1'010);
  pass_after(1'010);
  EXPECT_EQ(seen.times(), (Times{1'000, 1'010}));
  EXPECT_EQ(reader->counts().damaged_packets, 1U);
}

TEST_F(LiveReader, OrderHoldsWhenItCannotTakeEverythingInOnePass) {
  settings.most_a_pass = 1'000;
  make(12, 6);
  LiveWriter a = writer(10);
  LiveWriter b = writer(11);
  std::uint64_t time = 1'000;
  for (int i = 0; i < 20'000; ++i) (i % 2 == 0 ? a : b).entry(1, ++time);
  now = time + kHoldBack;
  int passes = 0;
  while (reader->pass()) ++passes;
  EXPECT_GT(passes, 1);
  ASSERT_EQ(seen.all.size(), 20'000U);
  EXPECT_EQ(reader->counts().late, 0U);
}

TEST_F(LiveReader, TakesNoMoreThanItMayKeep) {
  settings.most_pending = 10'000;
  make(12, 12);
  LiveWriter w = writer(10);
  now = 5'000;
  for (int i = 0; i < 60'000; ++i) w.entry(1, 5'000);
  for (int i = 0; i < 20; ++i) reader->pass();
  EXPECT_LE(reader->pending(), 10'000U + event::kPacketBytes / 8);
  EXPECT_TRUE(seen.all.empty());
  now += kHoldBack;
  while (reader->pass()) {
  }
  EXPECT_EQ(seen.all.size(), 60'000U);
}

/// Every word of the memory that the tool looks at, at random, and again while it reads.
TEST_F(LiveReader, RandomMemoryHarmsNothing) {
  constexpr std::uint32_t kManyPackets = 16;
  for (unsigned seed = 1; seed <= 30; ++seed) {
    settings.most_pending = 100'000;
    seen = Seen{};
    make(kManyPackets, 4);
    std::mt19937_64 random(seed);
    const buffer::Pool pool = target->pool();
    // Values that mean something are more dangerous than others.
    const auto any = [&]() -> std::uint64_t {
      switch (random() % 6) {
        case 0:
          return 0;
        case 1:
          return random() % 8;
        case 2:
          return now - random() % 500;
        case 3:
          return event::compact_event(static_cast<event::EventId>(1 + random() % 3), random(),
                                      1 + random() % 100);
        case 4:
          return ~std::uint64_t{0};
        default:
          return random();
      }
    };
    const auto scribble = [&] {
      for (std::uint32_t i = 0; i < kManyPackets; ++i) {
        buffer::PacketDescriptor& d = pool.descriptor(i);
        d.state = static_cast<std::uint32_t>(random() % 4);
        d.thread_slot = static_cast<std::uint32_t>(random() % 3 == 0 ? any() : random() % 4);
        d.incarnation = static_cast<std::uint32_t>(random() % 3 == 0 ? any() : random() % 4);
        d.content_bytes =
            static_cast<std::uint32_t>(random() % 2 == 0 ? any() : random() % event::kPacketBytes);
        event::PacketHeader& h = pool.header(i);
        auto* const words = reinterpret_cast<std::uint64_t*>(pool.packet(i));
        for (std::size_t w = 0; w < 200; ++w) words[w] = any();
        if (random() % 8 == 0) continue;
        h.magic = event::kCtfMagic;
        h.packet_bits = event::kPacketBytes * 8;
        h.tid = 1;
        h.timestamp_end = 1;
        h.sequence = random() % 4;
      }
      for (std::uint32_t s = 0; s < 8; ++s) {
        auto* const words = reinterpret_cast<std::uint64_t*>(&pool.thread(s));
        for (std::size_t w = 0; w < sizeof(buffer::ThreadSlot) / 8; ++w) words[w] = any();
      }
      pool.control().slots_used = static_cast<std::uint32_t>(any());
      pool.control().queue_tail = static_cast<std::uint32_t>(any());
      pool.control().packet_count = static_cast<std::uint32_t>(any());
      pool.control().on_full = static_cast<buffer::OnFull>(any());
      pool.control().packet_count = kManyPackets;  // for this test itself
    };
    for (int round = 0; round < 60; ++round) {
      scribble();
      now += 20;
      reader->pass();
      ASSERT_LE(reader->pending(), settings.most_pending + event::kPacketBytes / 8 + 1);
    }
    reader->finish();
    EXPECT_LE(seen.threads.size(), trace::kMostLiveThreads);
    for (const LiveEvent& e : seen.all) {
      ASSERT_LE(e.function, 100U);
      ASSERT_LE(e.time, now + kFuture);
      ASSERT_LE(static_cast<int>(e.kind), 3);
    }
  }
}

/// Threads that do nothing else, and a reader that looks at every moment: all events, once, in order.
TEST_F(LiveReader, NothingIsLostOrDoubledWhileThreadsWrite) {
  constexpr std::uint32_t kThreads = 3;
  constexpr std::uint32_t kEvents = 200'000;
  settings.hold_back = 0;
  make(8, 2);
  settings.clock = nullptr;
  settings.hold_back = 1;
  settings.future = ~std::uint64_t{0} / 4;
  reader = std::make_unique<trace::LiveReader>(*memory, functions, seen, settings);
  std::atomic<std::uint32_t> running{kThreads};
  std::vector<std::thread> threads;
  for (std::uint32_t t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      LiveWriter w(target->pool(), 100 + t);
      std::uint64_t time = 1'000;
      for (std::uint32_t i = 0; i < kEvents; ++i) {
        if (i % 5'000 == 0 && w.has_packet()) {
          if (w.move()) w.queue();
          w.give_back();
        }
        w.entry(1 + i % 100, ++time);
      }
      w.end();
      running.fetch_sub(1);
    });
  }
  while (running.load() != 0) reader->pass();
  for (std::thread& thread : threads) thread.join();
  reader->finish();
  std::uint64_t shown = 0;
  std::map<std::uint32_t, std::uint64_t> last;
  for (std::size_t i = 0; i < seen.all.size(); ++i) {
    const LiveEvent& e = seen.all[i];
    std::uint64_t& before = last[seen.tids[i]];
    if (e.kind == LiveKind::kGap) {
      ASSERT_GE(e.time, before);
      continue;
    }
    ASSERT_GT(e.time, before);
    before = e.time;
    ++shown;
  }
  EXPECT_EQ(shown + seen.lost[0] - reader->counts().seen_of_lost, std::uint64_t{kThreads} * kEvents);
  EXPECT_EQ(reader->counts().damaged_packets, 0U);
}

}  // namespace
}  // namespace calltap::test
