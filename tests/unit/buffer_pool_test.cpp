// Who gets which packet in flight mode, where full packets are kept until they are the oldest.
#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <memory>
#include <thread>
#include <vector>

#include "buffer/pool.h"

namespace calltap::buffer {
namespace {

constexpr std::uint32_t kPackets = 6;
constexpr std::uint32_t kShare = 3;

class FlightPool : public testing::Test {
 protected:
  FlightPool() : memory_(std::calloc(1, total_bytes(kPackets)), &std::free), pool(memory_.get()) {
    Control& c = pool.control();
    c.on_full = OnFull::kFlight;
    c.packet_count = kPackets;
    c.packets_per_thread = kShare;
    c.packets_offset = packets_offset(kPackets);
    c.free_bits[0] = (1u << kPackets) - 1;
  }

  /// As the recorder does it.
  std::uint32_t claim(std::uint32_t slot) {
    const std::uint32_t index = pool.claim_packet(slot);
    return index != Pool::kNone ? index : pool.claim_oldest(slot).index;
  }
  std::uint32_t fill_one(std::uint32_t slot) {
    const std::uint32_t index = claim(slot);
    if (index != Pool::kNone) pool.keep_packet(index);
    return index;
  }
  /// The thread has ended and the tool has seen it: the slot is free for the next one.
  void end(std::uint32_t slot) { pool.thread(slot).tid.store(0); }

 private:
  std::unique_ptr<void, decltype(&std::free)> memory_;

 protected:
  Pool pool;
};

TEST_F(FlightPool, AThreadWithItsShareOverwritesItsOwnOldest) {
  const std::uint32_t other = pool.claim_thread(1);
  const std::uint32_t slot = pool.claim_thread(2);
  const std::uint32_t kept = fill_one(other);
  std::vector<std::uint32_t> own;
  for (std::uint32_t i = 0; i < kShare; ++i) own.push_back(fill_one(slot));
  for (std::uint32_t i = 0; i < 3 * kShare; ++i) {
    const Pool::OldPacket old = pool.claim_oldest(slot);
    EXPECT_EQ(old.index, own[i % kShare]);
    EXPECT_TRUE(old.is_own);
    pool.keep_packet(old.index);
  }
  EXPECT_EQ(pool.descriptor(kept).thread_slot, other);
}

TEST_F(FlightPool, ThreadsThatHaveEndedGiveTheirOldestPackets) {
  std::vector<std::uint32_t> order;
  for (std::uint32_t tid = 1; tid <= 4 * kPackets; ++tid) {
    const std::uint32_t slot = pool.claim_thread(tid);
    EXPECT_EQ(slot, 0U) << "the slot is used again";
    order.push_back(fill_one(slot));
    ASSERT_NE(order.back(), Pool::kNone);
    if (tid > kPackets) {
      EXPECT_EQ(order[tid - 1], order[tid - 1 - kPackets]);
    }
    end(slot);
  }
}

TEST_F(FlightPool, AThreadThatComesLateGetsTheOldestPacketOfLiveOnes) {
  const std::uint32_t first = pool.claim_thread(1);
  const std::uint32_t second = pool.claim_thread(2);
  const std::uint32_t oldest = fill_one(first);
  for (std::uint32_t i = 1; i < kShare; ++i) fill_one(first);
  for (std::uint32_t i = 0; i < kShare; ++i) fill_one(second);
  const Pool::OldPacket old = pool.claim_oldest(pool.claim_thread(3));
  EXPECT_EQ(old.index, oldest);
  EXPECT_FALSE(old.is_own);
  // The thread that lost a packet may have another one in its place.
  EXPECT_NE(fill_one(first), Pool::kNone);
}

TEST_F(FlightPool, NeverTakesAPacketThatIsBeingWritten) {
  for (std::uint32_t i = 0; i < kPackets; ++i) ASSERT_NE(claim(pool.claim_thread(i + 1)), Pool::kNone);
  EXPECT_EQ(claim(pool.claim_thread(100)), Pool::kNone);
}

TEST_F(FlightPool, OrderHoldsWhenItsCounterWraps) {
  pool.control().queue_tail = ~std::uint32_t{0} - 1;
  const std::uint32_t slot = pool.claim_thread(1);
  std::vector<std::uint32_t> own;
  for (std::uint32_t i = 0; i < kShare; ++i) own.push_back(fill_one(slot));
  EXPECT_EQ(pool.claim_oldest(slot).index, own[0]);
}

TEST_F(FlightPool, OnePacketIsNeverGivenToTwoThreads) {
  constexpr int kThreads = 4;
  constexpr int kRounds = 20000;
  std::atomic<std::uint32_t> writers[kPackets] = {};
  std::atomic<int> shared{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      const std::uint32_t slot = pool.claim_thread(static_cast<std::uint32_t>(t + 1));
      for (int i = 0; i < kRounds; ++i) {
        const std::uint32_t index = claim(slot);
        if (index == Pool::kNone) continue;
        if (writers[index].fetch_add(1) != 0) ++shared;
        writers[index].fetch_sub(1);
        pool.keep_packet(index);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(shared.load(), 0);
}

}  // namespace
}  // namespace calltap::buffer
