#include <gtest/gtest.h>

#include "trace/stream_reader.h"
#include "trace_synthetic.h"

namespace calltap::test {
namespace {

using event::EventId;
using trace::Continuity;
using trace::Damage;
using trace::DamageKind;

constexpr std::uint32_t kFunctions = 9;

struct ReadStream {
  std::vector<trace::Event> events;
  std::vector<Continuity> packets;
  trace::StreamCounts counts;
  Damage damage;

  [[nodiscard]] std::uint64_t damaged(DamageKind kind) const {
    return damage.occurrences[static_cast<std::size_t>(kind)];
  }
};

class TraceReader : public ::testing::Test {
 protected:
  ReadStream read(const std::string& bytes) {
    write_bytes(written(), bytes);
    ReadStream result;
    trace::StreamReader reader(written(), synthetic_description({}).uuid, kFunctions);
    while (reader.next_packet()) {
      result.packets.push_back(reader.continuity());
      reader.each_event([&](const trace::Event& e) { result.events.push_back(e); });
    }
    result.counts = reader.counts();
    result.damage = reader.damage();
    EXPECT_EQ(result.counts.events, result.events.size());
    EXPECT_EQ(reader.offset(), bytes.size()) << "every byte is accounted for";
    return result;
  }

  [[nodiscard]] std::filesystem::path written() const { return directory_.path() / "stream"; }

  /// Three packets of two events each.
  static SyntheticStream three_packets() {
    SyntheticStream s(1);
    s.entry(1, 10).exit(1, 20).end_packet();
    s.entry(2, 30).exit(2, 40).end_packet();
    s.entry(3, 50).exit(3, 60).end_packet();
    return s;
  }
  static constexpr std::size_t kPacket = sizeof(event::PacketHeader) + 2 * event::kCompactBytes;

 private:
  TemporaryDirectory directory_;
};

std::vector<std::uint64_t> times(const ReadStream& r) {
  std::vector<std::uint64_t> all;
  for (const trace::Event& e : r.events) all.push_back(e.time);
  return all;
}

TEST_F(TraceReader, DecodesCompactAndExtendedEvents) {
  SyntheticStream s(1);
  const std::uint64_t wrap = event::kTimeMask + 1;
  s.entry(1, 5).entry(2, wrap + 4).unwound(2, 3 * wrap).exit(1, 3 * wrap + event::kTimeMask);
  const ReadStream r = read(s.bytes());
  EXPECT_FALSE(r.damage.any());
  EXPECT_EQ(times(r), (std::vector<std::uint64_t>{5, wrap + 4, 3 * wrap, 4 * wrap - 1}));
  EXPECT_EQ(r.events[0].id, EventId::kEntry);
  EXPECT_EQ(r.events[2].id, EventId::kUnwound);
  EXPECT_EQ(r.events[2].function, 2U);
  EXPECT_EQ(r.events[3].id, EventId::kExit);
}

TEST_F(TraceReader, ReadsWordsBehindEvents) {
  SyntheticStream s(1);
  // Words that look like events, or like the end of a packet.
  const std::vector<std::uint64_t> words = {0, ~std::uint64_t{0},
                                            event::compact_event(EventId::kEntry, 6, 7)};
  const std::uint64_t late = 2 * (event::kTimeMask + 1);
  s.with_words(EventId::kArguments, 1, 5, 0xabcd, words)
      .entry(1, 6)
      .with_words(EventId::kStack, 2, late, 0, words);
  s.exit(1, late + 1);
  const ReadStream r = read(s.bytes());
  EXPECT_FALSE(r.damage.any());
  EXPECT_EQ(times(r), (std::vector<std::uint64_t>{5, 6, late, late + 1}));
  EXPECT_EQ(r.events[0].id, EventId::kArguments);
  EXPECT_EQ(r.events[2].id, EventId::kStack);
  EXPECT_EQ(r.events[2].function, 2U);

  trace::StreamReader reader(written(), synthetic_description({}).uuid, kFunctions);
  ASSERT_TRUE(reader.next_packet());
  trace::Event first;
  ASSERT_TRUE(reader.next_event(first));
  EXPECT_EQ(reader.words().layout(), 0xabcdU);
  ASSERT_EQ(reader.words().size(), words.size());
  for (std::uint32_t i = 0; i < words.size(); ++i) EXPECT_EQ(reader.words()[i], words[i]);
}

TEST_F(TraceReader, StopsAtWordsThatCannotBe) {
  const std::uint64_t header = event::compact_event(EventId::kArguments, 12, 1);
  const auto read_with = [&](std::uint64_t words_header) {
    SyntheticStream s(1);
    s.entry(1, 10).word(header).word(words_header).word(1).word(2).end_packet().exit(1, 20);
    return read(s.bytes());
  };
  EXPECT_EQ(read_with(event::words_header(2, 0)).counts.events, 3U);
  for (const std::uint32_t count : {0U, 3U, event::kMaxWords + 1, ~0U}) {
    const ReadStream r = read_with(event::words_header(count, 0));
    EXPECT_EQ(r.damaged(DamageKind::kBadEvent), 1U) << count;
    EXPECT_EQ(times(r), (std::vector<std::uint64_t>{10, 20})) << count;
  }
  SyntheticStream cut(1);
  cut.entry(1, 10).word(header);
  EXPECT_EQ(read(cut.bytes()).damaged(DamageKind::kBadEvent), 1U);
}

TEST_F(TraceReader, ExtendsTimeFromThePacketsBegin) {
  SyntheticStream s(1);
  const std::uint64_t late = 77 * (event::kTimeMask + 1) + 3;
  s.entry(1, late).end_packet().exit(1, late + 9);
  EXPECT_EQ(times(read(s.bytes())), (std::vector<std::uint64_t>{late, late + 9}));
}

TEST_F(TraceReader, ReadsManyFullPackets) {
  SyntheticStream s(1);
  constexpr std::uint64_t kEvents = 100'000;
  for (std::uint64_t i = 0; i < kEvents; ++i)
    s.event(i % 2 == 0 ? EventId::kEntry : EventId::kExit, 1, i * 3);
  const ReadStream r = read(s.bytes());
  EXPECT_EQ(r.counts.events, kEvents);
  EXPECT_GT(r.counts.packets, 10U);
  EXPECT_FALSE(r.damage.any());
  EXPECT_EQ(r.counts.last_time, (kEvents - 1) * 3);
}

TEST_F(TraceReader, SkipsPadding) {
  SyntheticStream s(1);
  s.entry(1, 1).end_packet(event::kPacketBytes).exit(1, 2).end_packet(4096);
  const ReadStream r = read(s.bytes());
  EXPECT_EQ(r.counts.events, 2U);
  EXPECT_FALSE(r.damage.any());
}

TEST_F(TraceReader, AnEmptyStreamIsNoDamage) {
  const ReadStream r = read("");
  EXPECT_EQ(r.counts.packets, 0U);
  EXPECT_FALSE(r.damage.any());
}

TEST_F(TraceReader, AMissingStreamIsUnreadable) {
  trace::StreamReader reader("/proc/self/nowhere", {}, 1);
  EXPECT_FALSE(reader.next_packet());
  EXPECT_EQ(reader.damage().occurrences[static_cast<std::size_t>(DamageKind::kUnreadable)], 1U);
}

TEST_F(TraceReader, ReadsAllWholeEventsOfATruncatedStream) {
  const std::string whole = three_packets().bytes();
  for (std::size_t size = 0; size < whole.size(); ++size) {
    const ReadStream r = read(whole.substr(0, size));
    const std::size_t rest = size % kPacket;
    const std::size_t events =
        rest < sizeof(event::PacketHeader) ? 0 : (rest - sizeof(event::PacketHeader)) / 8;
    EXPECT_EQ(r.counts.events, size / kPacket * 2 + events) << size;
    EXPECT_EQ(r.damaged(DamageKind::kTruncated), rest == 0 ? 0U : 1U) << size;
    if (rest >= sizeof(event::PacketHeader)) {
      EXPECT_EQ(r.damage.bytes_missing, kPacket - rest) << size;
    }
  }
}

TEST_F(TraceReader, FindsTheNextPacketBehindABadHeader) {
  for (const std::size_t field :
       {std::size_t{0}, std::size_t{5}, std::size_t{20}, std::size_t{40}, std::size_t{48}}) {
    std::string bytes = three_packets().bytes();
    bytes[kPacket + field] = static_cast<char>(bytes[kPacket + field] ^ 1);  // magic, uuid, class, sizes
    const ReadStream r = read(bytes);
    EXPECT_EQ(times(r), (std::vector<std::uint64_t>{10, 20, 50, 60})) << field;
    EXPECT_EQ(r.damaged(DamageKind::kBadHeader), 1U) << field;
    EXPECT_EQ(r.damage.bytes_skipped, kPacket) << field;
    EXPECT_EQ(r.packets.back(), Continuity::kGap) << field;
  }
}

TEST_F(TraceReader, FindsThePacketsBehindASizeThatIsALie) {
  std::string bytes = three_packets().bytes();
  bytes[48 + 1] = '\x40';  // packet_bits of the first: far behind the end of the file
  const ReadStream r = read(bytes);
  EXPECT_EQ(r.damaged(DamageKind::kTruncated), 1U);
  EXPECT_EQ(times(r), (std::vector<std::uint64_t>{10, 20, 30, 40, 50, 60}));
}

TEST_F(TraceReader, FindsPacketsAtOddOffsets) {
  const ReadStream r = read("xyz" + three_packets().bytes());
  EXPECT_EQ(r.counts.events, 6U);
  EXPECT_EQ(r.damage.bytes_skipped, 3U);
}

TEST_F(TraceReader, GoesOnWithTheNextPacketAfterABadEvent) {
  const auto with = [](std::uint64_t word) {
    SyntheticStream s(1);
    s.entry(1, 10).word(word).exit(1, 20).end_packet().entry(2, 30).exit(2, 40);
    return s.bytes();
  };
  for (const std::uint32_t id : {0U, 4U, 30U}) {
    const ReadStream r = read(with(event::compact_event(static_cast<EventId>(id), 12, 1)));
    EXPECT_EQ(times(r), (std::vector<std::uint64_t>{10, 30, 40}));
    EXPECT_EQ(r.damaged(DamageKind::kBadEvent), 1U);
    EXPECT_EQ(r.damage.bytes_skipped, 16U);
    EXPECT_EQ(r.packets.back(), Continuity::kGap);
  }
  for (const std::uint32_t function : {0U, kFunctions + 1, ~0U}) {
    const ReadStream r = read(with(event::compact_event(EventId::kEntry, 12, function)));
    EXPECT_EQ(r.counts.events, 3U);
    EXPECT_EQ(r.damaged(DamageKind::kUnknownFunction), 1U);
  }
}

TEST_F(TraceReader, RefusesAnExtendedEventThatThePacketCutsOff) {
  SyntheticStream s(1);
  s.entry(1, 10).word(event::extended_event(EventId::kExit, 20, 1).low).end_packet().exit(1, 30);
  const ReadStream r = read(s.bytes());
  EXPECT_EQ(r.damaged(DamageKind::kBadEvent), 1U);
  EXPECT_EQ(r.counts.events, 2U);
}

TEST_F(TraceReader, NotesTimeGoingBackwards) {
  SyntheticStream within(1);
  const event::ExtendedEvent earlier = event::extended_event(EventId::kExit, 900, 1);
  within.entry(1, 1000).word(earlier.low).word(earlier.high);
  EXPECT_EQ(read(within.bytes()).damaged(DamageKind::kTimeBackwards), 1U);

  std::string bytes = three_packets().bytes();
  std::string swapped = bytes.substr(0, kPacket) + bytes.substr(2 * kPacket) + bytes.substr(kPacket, kPacket);
  const ReadStream r = read(swapped);
  EXPECT_EQ(r.damaged(DamageKind::kTimeBackwards), 1U);
  EXPECT_EQ(r.damaged(DamageKind::kSequence), 1U);
  EXPECT_EQ(r.counts.events, 6U);
  EXPECT_EQ(r.packets, (std::vector{Continuity::kUnbroken, Continuity::kGap, Continuity::kTimeReset}));
}

TEST_F(TraceReader, NotesGapsInTheSequence) {
  SyntheticStream s(1);
  s.entry(1, 10).end_packet().entry(2, 20).lose_packet().exit(1, 30).end_packet();
  const ReadStream r = read(s.bytes());
  EXPECT_EQ(r.counts.lost_packets, 1U);
  EXPECT_EQ(r.packets, (std::vector{Continuity::kUnbroken, Continuity::kGap}));
  EXPECT_FALSE(r.damage.any()) << "lost is not damaged";
}

TEST_F(TraceReader, NotesDiscardedEvents) {
  SyntheticStream s(1);
  s.entry(1, 10).end_packet().discarded(5).exit(1, 30).end_packet().entry(1, 40).end_packet();
  const ReadStream r = read(s.bytes());
  EXPECT_EQ(r.counts.discarded_events, 5U);
  EXPECT_EQ(r.packets, (std::vector{Continuity::kUnbroken, Continuity::kGap, Continuity::kUnbroken}));
}

TEST_F(TraceReader, ReadsOneEventAtATimeAsWell) {
  TemporaryDirectory directory;
  write_bytes(directory.path() / "s", three_packets().bytes());
  trace::StreamReader reader(directory.path() / "s", synthetic_description({}).uuid, kFunctions, 1);
  std::vector<std::uint64_t> seen;
  while (reader.next_packet()) {
    trace::Event event;
    while (reader.next_event(event)) seen.push_back(event.time);
  }
  EXPECT_EQ(seen, (std::vector<std::uint64_t>{10, 20, 30, 40, 50, 60}));
  EXPECT_EQ(reader.counts().events, 6U);
}

}  // namespace
}  // namespace calltap::test
