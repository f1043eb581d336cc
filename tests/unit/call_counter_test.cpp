// Counting calls in shared memory, step by step: what is counted once stays counted once.
#include "trace/call_counter.h"

#include <gtest/gtest.h>

#include <memory>

#include "live_writer.h"

namespace calltap::test {
namespace {

using trace::CountedCalls;

class CallCounter : public testing::Test {
 protected:
  CallCounter() {
    trace::BufferSettings buffers;
    buffers.bytes_per_thread = 4 * event::kPacketBytes;
    buffers.bytes_in_total = 8 * event::kPacketBytes;
    memory = std::make_unique<trace::SharedMemory>(buffers, std::array<std::uint8_t, 16>{});
    target = std::make_unique<TargetMemory>(memory->fd(), memory->bytes());
  }

  void take_all() {
    while (const auto packet = memory->take_queued()) {
      counter.take(*packet);
      memory->release(*packet);
    }
  }
  CountedCalls counted(std::uint32_t function) {
    for (const CountedCalls& c : counter.collect()) {
      if (c.function == function) return c;
    }
    return {};
  }

  std::unique_ptr<trace::SharedMemory> memory;
  std::unique_ptr<TargetMemory> target;
  trace::CallCounter counter;
};

TEST_F(CallCounter, OnceWhetherSeenUnfinishedOrTaken) {
  LiveWriter writer(target->pool(), 11);
  writer.entry(1, 100).entry(2, 110).exit(2, 130);
  counter.look(*memory);
  counter.look(*memory);
  CountedCalls inner = counted(2);
  EXPECT_EQ(inner.calls, 1U);
  EXPECT_EQ(inner.ended, 1U);
  EXPECT_EQ(inner.ticks, 20U);
  writer.exit(1, 150).entry(2, 160);
  writer.close_and_queue();
  take_all();
  const auto& both = counter.collect();
  ASSERT_EQ(both.size(), 2U);
  EXPECT_EQ(both[0].function, 1U);
  EXPECT_EQ(both[0].calls, 0U) << "it began before";
  EXPECT_EQ(both[0].ticks, 50U);
  EXPECT_EQ(both[1].calls, 1U);
  EXPECT_EQ(counter.calls_of(1), 1U);
  EXPECT_EQ(counter.calls_of(2), 2U);
}

TEST_F(CallCounter, APacketThatMovesIsReadOn) {
  LiveWriter writer(target->pool(), 11);
  writer.entry(1, 100).exit(1, 110);
  counter.look(*memory);
  writer.entry(1, 120).exit(1, 130);
  ASSERT_TRUE(writer.move());
  writer.queue();
  take_all();
  EXPECT_EQ(counter.calls_of(1), 2U);
}

TEST_F(CallCounter, ALaterPacketWaitsForTheOneBeforeIt) {
  LiveWriter writer(target->pool(), 11);
  writer.entry(1, 100).exit(1, 110);
  writer.close_and_queue();
  writer.entry(1, 200);
  counter.look(*memory);
  EXPECT_EQ(counter.calls_of(1), 0U);
  take_all();
  counter.look(*memory);
  EXPECT_EQ(counter.calls_of(1), 2U);
}

TEST_F(CallCounter, DurationsThroughLongSilences) {
  LiveWriter writer(target->pool(), 11);
  constexpr std::uint64_t kLong = std::uint64_t{1} << 40;
  writer.entry(3, 100).exit(3, 100 + kLong);
  counter.look(*memory);
  EXPECT_EQ(counted(3).ticks, kLong);
}

TEST_F(CallCounter, AThreadInAnothersSlotBeginsAnew) {
  LiveWriter first(target->pool(), 11);
  first.entry(1, 100);
  first.close_and_queue();
  first.end();
  take_all();
  memory->free_slot(first.slot());
  LiveWriter second(target->pool(), 12);
  ASSERT_EQ(second.slot(), first.slot());
  second.exit(1, 500).entry(1, 510);
  counter.look(*memory);
  EXPECT_EQ(counter.calls_of(1), 2U);
  EXPECT_EQ(counted(1).ended, 0U) << "the entry was another thread's";
}

TEST_F(CallCounter, FunctionsThatCannotBeAreNobodys) {
  LiveWriter writer(target->pool(), 11);
  writer.entry(0xffffffff, 100).exit(0xffffffff, 110).entry(1U << 22, 120);
  counter.look(*memory);
  EXPECT_TRUE(counter.collect().empty());
  EXPECT_EQ(counter.calls_of_nothing(), 2U);
}

}  // namespace
}  // namespace calltap::test
