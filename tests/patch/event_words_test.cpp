// Events with words of data behind them, as the slow path writes them: the words may be zero, which elsewhere
// means that nothing was written yet.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include <thread>
#include <vector>

#include "event/event_layout.h"
#include "isa/native.h"
#include "isa/system.h"
#include "recorder/process.h"
#include "trace/event_cursor.h"
#include "trace/shared_memory.h"
#include "trampoline/frames.h"

namespace calltap::recorder {
namespace {

using event::EventId;
using trampoline::ct_event_write;
using trampoline::Writer;

using Words = std::vector<std::uint64_t>;

constexpr std::uint32_t kPackets = 4;
constexpr std::uint32_t kFunction = 7;
constexpr std::uint32_t kLayout = 0x1234;
constexpr std::uint64_t kEntry = std::uint64_t{kFunction} << 32 | static_cast<std::uint64_t>(EventId::kEntry);

/// Writes as a handler of a client does.
void write(const Words& words, EventId id = EventId::kArguments) {
  const isa::SignalsBlocked blocked;
  write_event_with_words(id, kFunction, kLayout, words.data(), static_cast<std::uint32_t>(words.size()));
}

void write_entry() {
  const isa::SignalsBlocked blocked;
  ct_event_write(kEntry);
}

class EventWords : public testing::Test {
 protected:
  EventWords()
      : bytes_(buffer::total_bytes(kPackets)),
        memory_(::mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0)),
        pool_(memory_) {}
  ~EventWords() override {
    if (the_pool_is_used_) process().mode = Mode::kOff;
    ::munmap(memory_, bytes_);
  }

  void record(buffer::OnFull on_full) {
    buffer::Control& c = pool_.control();
    c.on_full = on_full;
    c.packet_count = kPackets;
    c.packets_per_thread = 2;
    c.packets_offset = buffer::packets_offset(kPackets);
    c.free_bits[0] = (1U << kPackets) - 1;
    ASSERT_TRUE(initialise());
    the_pool_is_used_ = true;
    process().pool = pool_;
    process().mode = Mode::kOn;
  }
  /// As a thread of its own, which ends there.
  template <class Body>
  static void in_thread(Body body) {
    std::thread([&] {
      body();
      const isa::SignalsBlocked blocked;
      end_thread(ct_thread);
    }).join();
  }

  [[nodiscard]] buffer::Pool pool() const { return pool_; }
  [[nodiscard]] std::uint8_t* events(std::uint32_t packet) const {
    return pool_.packet(packet) + sizeof(event::PacketHeader);
  }
  [[nodiscard]] trace::EventSpan scan(std::uint32_t packet) const {
    constexpr std::uint32_t kBytes = event::kPacketBytes - 8 - sizeof(event::PacketHeader);
    return trace::scan_events(events(packet), kBytes, pool_.header(packet).timestamp_begin);
  }
  struct Read {
    std::vector<EventId> ids;
    std::vector<Words> words;
  };
  [[nodiscard]] Read read(std::uint32_t packet) const {
    const std::span<const std::uint8_t> written(events(packet), scan(packet).bytes);
    trace::EventCursor cursor(std::as_bytes(written), pool_.header(packet).timestamp_begin, 100);
    Read all;
    for (trace::Event event; cursor.next(event);) {
      EXPECT_EQ(event.function, kFunction);
      all.ids.push_back(event.id);
      if (!event::has_words(event.id)) continue;
      EXPECT_EQ(cursor.words().layout(), kLayout);
      Words words;
      for (std::uint32_t i = 0; i < cursor.words().size(); ++i) words.push_back(cursor.words()[i]);
      all.words.push_back(words);
    }
    EXPECT_FALSE(cursor.damaged());
    return all;
  }
  static void expect_eq(const Read& read, const std::vector<EventId>& ids, const std::vector<Words>& words) {
    EXPECT_EQ(read.ids, ids);
    EXPECT_EQ(read.words, words);
  }

 private:
  std::uint64_t bytes_;
  void* memory_;
  buffer::Pool pool_;
  bool the_pool_is_used_ = false;
};

TEST_F(EventWords, AreReadAsWritten) {
  record(buffer::OnFull::kDiscard);
  in_thread([&] {
    write({0, 0, 0});
    write_entry();
    ct_thread.writer->last_time -= 3 * event::kTimeMask;  // as if the thread had been silent: extended
    write({~std::uint64_t{0}, 0, 5}, EventId::kStack);
    write(Words(event::kMaxWords));
    write(Words(event::kMaxWords + 1));  // too many: nothing
    write({});
    const std::uint32_t packet = ct_thread.writer->packet;
    expect_eq(read(packet), {EventId::kArguments, EventId::kEntry, EventId::kStack, EventId::kArguments},
              {{0, 0, 0}, {~std::uint64_t{0}, 0, 5}, Words(event::kMaxWords)});
  });
}

TEST_F(EventWords, EndWithThePacketTheyFit) {
  record(buffer::OnFull::kDiscard);
  for (const int extended : {0, 1}) {
    for (int room = 0; room < 6; ++room) {
      in_thread([&] {
        write_entry();
        Writer& w = *ct_thread.writer;
        const std::uint32_t first = w.packet;
        while (w.sentinel - w.cursor != room) write_entry();
        if (extended != 0) w.last_time -= 3 * event::kTimeMask;
        write({0, 0});
        const bool fits = room >= 4 + extended;
        EXPECT_EQ(w.packet == first, fits) << room;
        EXPECT_EQ(w.sentinel - w.cursor > 1000, !fits);
        if (!fits) expect_eq(read(w.packet), {EventId::kArguments}, {{0, 0}});
      });
      // As the tool does.
      pool().control().free_bits[0] = (1U << kPackets) - 1;
      for (std::uint32_t i = 0; i < kPackets; ++i) {
        pool().descriptor(i).state.store(static_cast<std::uint32_t>(buffer::PacketState::kFree));
      }
    }
  }
}

/// A fast path that was interrupted when it had chosen its place, in which the handler then wrote.
TEST_F(EventWords, TakeThePlaceThatAnInterruptedCallHasChosen) {
  record(buffer::OnFull::kDiscard);
  in_thread([&] {
    write_entry();
    const std::uint64_t* chosen = ct_thread.writer->cursor;
    write({0, 0});
    EXPECT_NE(*chosen, 0U);
    write_entry();
    expect_eq(read(ct_thread.writer->packet), {EventId::kEntry, EventId::kArguments, EventId::kEntry},
              {{0, 0}});
  });
}

/// One that had written its event, and not moved the cursor yet.
TEST_F(EventWords, FollowAnEventWhoseWriterWasInterrupted) {
  record(buffer::OnFull::kDiscard);
  in_thread([&] {
    write_entry();
    *ct_thread.writer->cursor = event::compact_event(EventId::kEntry, isa::native::read_clock(), kFunction);
    write({0, 0});
    write_entry();
    expect_eq(read(ct_thread.writer->packet),
              {EventId::kEntry, EventId::kEntry, EventId::kArguments, EventId::kEntry}, {{0, 0}});
  });
}

TEST_F(EventWords, AreNotWrittenBehindAShutGate) {
  record(buffer::OnFull::kDiscard);
  in_thread([&] {
    write({0, 0, 0, 0});
    gate.shut.store(1);
    {
      const isa::SignalsBlocked blocked;
      look_at_gate(ct_thread);
    }
    write({1, 1});
    gate.shut.store(0);
    write({0, 2});  // finds the end of what was written
    write_entry();
    expect_eq(read(ct_thread.writer->packet), {EventId::kArguments, EventId::kArguments, EventId::kEntry},
              {{0, 0, 0, 0}, {0, 2}});
  });
}

TEST_F(EventWords, CountAsOneEventWhenTheyAreLost) {
  record(buffer::OnFull::kFlight);
  in_thread([&] {
    constexpr std::uint64_t kEvents = 3000;  // of 23 words: more than eight packets
    for (std::uint64_t i = 0; i < kEvents; ++i) write(Words(21));
    Writer& w = *ct_thread.writer;
    std::uint64_t kept = 0;
    for (std::uint32_t i = 0; i < kPackets; ++i) {
      if (pool().descriptor(i).state.load() != static_cast<std::uint32_t>(buffer::PacketState::kFree)) {
        kept += scan(i).events;
      }
    }
    EXPECT_EQ(
        kept + pool().thread(w.slot).discarded[static_cast<std::size_t>(event::DiscardReason::kOverwritten)],
        kEvents);
  });
}

TEST_F(EventWords, AreDiscardedAsOneEventWhereThereIsNoRoom) {
  record(buffer::OnFull::kDiscard);
  in_thread([&] {
    constexpr std::uint64_t kEvents = 300;  // of 256 words and more: two packets hold 62
    for (std::uint64_t i = 0; i < kEvents; ++i) write(Words(event::kMaxWords));
    const auto& discarded = pool().thread(ct_thread.writer->slot).discarded;
    EXPECT_EQ(discarded[static_cast<std::size_t>(event::DiscardReason::kBufferFull)], kEvents - 62);
  });
}

/// The process is killed at any instruction: what can be read is all that was written before, or that and the
/// event as a whole.
TEST_F(EventWords, AreThereWholeOrNotAtAllIfTheirWriterIsKilled) {
  const Words words = {0, 0, ~std::uint64_t{0}, event::compact_event(EventId::kEntry, 1, 1), 0};
  const pid_t child = ::fork();
  if (child == 0) {
    record(buffer::OnFull::kDiscard);
    write_entry();
    ::ptrace(PTRACE_TRACEME, 0, 0, 0);
    ::raise(SIGSTOP);
    write(words);
    ct_thread.writer->last_time -= 3 * event::kTimeMask;
    write(words);
    ::raise(SIGSTOP);
    ::_exit(0);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFSTOPPED(status) && WSTOPSIG(status) == SIGSTOP);
  std::vector<std::size_t> steps_with;  // by the number of words events: steps at which there were so many
  for (int step = 0; step < 100'000; ++step) {
    ASSERT_EQ(::ptrace(PTRACE_SINGLESTEP, child, 0, 0), 0);
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFSTOPPED(status));
    if (WSTOPSIG(status) == SIGSTOP) break;
    const Read seen = read(0);
    ASSERT_GE(seen.ids.size(), 1U);
    ASSERT_EQ(seen.words.size() + 1, seen.ids.size());
    for (const Words& w : seen.words) ASSERT_EQ(w, words);
    steps_with.resize(std::max(steps_with.size(), seen.words.size() + 1));
    ++steps_with[seen.words.size()];
  }
  EXPECT_EQ(steps_with.size(), 3U);
  ::kill(child, SIGKILL);
  ::waitpid(child, &status, 0);
}

}  // namespace
}  // namespace calltap::recorder
