#include <gtest/gtest.h>

#include <array>
#include <string>

#include "trace/call_stack.h"

namespace calltap::test {
namespace {

using trace::CallEnd;
using trace::CallSpan;

/// Writes down each call as "function:duration/self", with a mark for its end.
struct Log {
  struct FrameData {};
  using Frame = trace::CallStack<Log>::Frame;
  void entered(Frame&, const Frame& parent, const Frame* same) {
    parents += std::to_string(parent.function);
    if (same != nullptr) parents += "^";
  }
  void left(const Frame& frame, const CallSpan& span) {
    calls += frame.resumed ? "+" : "";
    calls += std::to_string(frame.function) + ":" + std::to_string(span.duration) + "/" +
             std::to_string(span.self);
    calls += std::array{" ", "u ", "l ", "i "}[static_cast<std::size_t>(span.how)];
    outermost += span.outermost ? span.duration - span.counted : 0;
    total_self += span.self;
    if (!frame.resumed) ++count;
  }
  void orphaned(std::uint32_t function, std::uint64_t, CallEnd) { orphans += std::to_string(function); }

  std::string parents;
  std::string calls;
  std::string orphans;
  std::uint64_t outermost = 0;
  std::uint64_t total_self = 0;
  std::uint64_t count = 0;
};

class CallStack : public ::testing::Test {
 public:
  CallStack& in(std::uint32_t function, std::uint64_t time) {
    stack.entry(function, time);
    return *this;
  }
  CallStack& out(std::uint32_t function, std::uint64_t time, CallEnd end = CallEnd::kReturned) {
    stack.exit(function, time, end);
    return *this;
  }

  Log log;
  trace::CallStack<Log> stack{log, 9};
};

TEST_F(CallStack, PairsNestedCalls) {
  in(1, 0).in(2, 10).out(2, 15).in(3, 20).out(3, 40).out(1, 100);
  EXPECT_EQ(log.calls, "2:5/5 3:20/20 1:100/75 ");
  EXPECT_EQ(log.parents, "011");
}

TEST_F(CallStack, RecursionIsOutermostOnce) {
  in(1, 0).in(1, 10).in(1, 20).out(1, 30).out(1, 40).out(1, 50);
  EXPECT_EQ(log.outermost, 50U);
  EXPECT_EQ(log.total_self, 50U);
  EXPECT_EQ(log.parents, "01^1^");
}

TEST_F(CallStack, UnwoundCallsEndLikeOthers) {
  in(1, 0).in(2, 10).out(2, 30, CallEnd::kUnwound).out(1, 40);
  EXPECT_EQ(log.calls, "2:20/20u 1:40/20 ");
}

TEST_F(CallStack, CoroutinesEndInAnyOrder) {
  // 1 and 2 are coroutines that were both entered from 9, and each calls 3.
  in(9, 0).in(1, 10).in(2, 20).out(1, 50).in(3, 60).out(3, 70).out(2, 80).out(9, 100);
  EXPECT_EQ(log.calls, "1:40/10 3:10/10 2:60/50 9:100/30 ");
  EXPECT_EQ(log.total_self, 100U) << "self times add up to the time of the thread";
}

TEST_F(CallStack, CoroutinesOfTheSameFunctionKeepTheirOrder) {
  in(1, 0).in(2, 10).in(1, 20).in(3, 30).out(2, 40).out(1, 50).out(3, 60).out(1, 70);
  EXPECT_EQ(log.total_self, 70U);
  EXPECT_EQ(log.count, 4U);
  EXPECT_EQ(log.outermost, 30U + 30U + 70U) << "2, 3 and the first 1";
}

TEST_F(CallStack, InterleavingForEverTakesNoMemoryForEver) {
  in(1, 0);
  for (std::uint64_t t = 1; t < 1'000'000; t += 2) {
    // The other one of 1 and 2 begins before the open one ends.
    const std::uint32_t open = 1 + static_cast<std::uint32_t>(t / 2 % 2);
    in(3 - open, t).out(open, t + 1);
  }
  EXPECT_LE(stack.frames_in_memory(), 1024U);
  EXPECT_EQ(log.orphans, "");
}

TEST_F(CallStack, ExitsWithoutEntryAreOrphaned) {
  out(4, 10).in(1, 20).out(5, 25).out(1, 30).out(1, 40);
  EXPECT_EQ(log.calls, "1:10/10 ");
  EXPECT_EQ(log.orphans, "451");
  EXPECT_EQ(stack.orphans(), 3U);
}

TEST_F(CallStack, ACallThatAGapCutsOffLastsUntilTheGap) {
  in(1, 0).in(2, 10).in(3, 20);
  stack.gap(25, 1000);
  EXPECT_EQ(log.calls, "3:5/5i 2:15/10i 1:25/10i ");
  out(1, 1040);
  // 2 and 3 ended within the gap; what came behind it was 1's.
  EXPECT_EQ(log.calls, "3:5/5i 2:15/10i 1:25/10i +2:0/0l +3:0/0l +1:40/40 ");
  EXPECT_EQ(log.total_self, 25U + 40U) << "the time that was recorded";
  EXPECT_EQ(log.count, 3U);
  EXPECT_EQ(log.outermost, 5U + 15U + 65U);
}

TEST_F(CallStack, ACallThatGoesOnBehindGapsHasTheTimeThatWasRecorded) {
  in(1, 0);
  stack.gap(10, 100);
  in(2, 120).out(2, 125);
  stack.gap(130, 200);
  out(1, 240);
  EXPECT_EQ(log.calls, "1:10/10i 2:5/5 +1:70/65 ");
  EXPECT_EQ(log.count, 2U);
}

TEST_F(CallStack, NothingBehindAGapIsChargedToACallThatNeverEnds) {
  // A loop in 1 calls 2, whose exit is lost once: the calls of 2 behind the gap are no recursion.
  in(1, 0).in(2, 10);
  stack.gap(20, 1000);
  for (std::uint64_t t = 1000; t < 2000; t += 10) in(2, t).out(2, t + 4);
  out(1, 2000);
  EXPECT_EQ(log.count, 102U);
  EXPECT_EQ(log.total_self, 20U + 1000U);
  EXPECT_EQ(log.outermost, (20U + 1000U) + (10U + 100U * 4U)) << "1 once, and each call of 2";
}

TEST_F(CallStack, RecursionThatGoesOnBehindAGapIsStillOutermostOnce) {
  in(1, 0).in(1, 10);
  stack.gap(20, 100);
  in(1, 110).out(1, 120).out(1, 130).out(1, 140);
  EXPECT_EQ(log.calls, "1:10/10i 1:20/10i 1:10/10 +1:30/20 +1:40/10 ");
  EXPECT_EQ(log.outermost, 20U + 40U);
  EXPECT_EQ(log.total_self, 20U + 40U);
}

TEST_F(CallStack, CoroutinesGoOnBehindAGap) {
  in(1, 0).in(2, 10);
  stack.gap(20, 100);
  in(4, 140).out(1, 150);
  // 4 began behind the gap and may be another coroutine; 2 was on top of 1 and is taken to be gone.
  EXPECT_EQ(log.calls, "2:10/10i 1:20/10i +2:0/0l +1:50/40 ");
  out(4, 160);
  EXPECT_EQ(log.total_self, 20U + 60U);
}

TEST_F(CallStack, GapsTouchEachFrameOnce) {
  // Quadratic behaviour would take hours here.
  constexpr std::uint64_t kDepth = 1'000'000;
  for (std::uint64_t i = 0; i < kDepth; ++i) stack.entry(1, i);
  for (std::uint64_t i = 0; i < kDepth; ++i) stack.gap(kDepth + 2 * i, kDepth + 2 * i + 1);
  stack.close_all(3 * kDepth);
  EXPECT_EQ(log.count, kDepth);
}

TEST_F(CallStack, AnExitBehindAGapThatIsNobodysIsOrphaned) {
  in(1, 0);
  stack.gap(10, 100);
  out(2, 110).out(1, 120);
  EXPECT_EQ(log.orphans, "2");
  EXPECT_EQ(log.calls, "1:10/10i +1:20/20 ");
}

TEST_F(CallStack, OpenCallsEndWithTheStream) {
  in(1, 0).in(2, 10);
  stack.close_all(30);
  EXPECT_EQ(log.calls, "2:20/20l 1:30/10l ");
  out(1, 40);
  EXPECT_EQ(log.orphans, "1");
}

TEST_F(CallStack, MillionsOfLevels) {
  constexpr std::uint64_t kDepth = 3'000'000;
  for (std::uint64_t i = 0; i < kDepth; ++i) stack.entry(1, i);
  for (std::uint64_t i = 0; i < kDepth; ++i) stack.exit(1, kDepth + i, CallEnd::kReturned);
  EXPECT_EQ(log.count, kDepth);
  EXPECT_EQ(log.outermost, 2 * kDepth - 1);
}

TEST_F(CallStack, ExitsFromTheBottomAreNotSearchedFor) {
  // Quadratic behaviour would take hours here.
  constexpr std::uint64_t kDepth = 1'000'000;
  for (std::uint64_t i = 0; i < kDepth; ++i) stack.entry(1 + (i % 2), i);
  stack.entry(3, kDepth);
  for (std::uint64_t i = 0; i < kDepth; ++i) stack.exit(1 + (i % 2), kDepth + i, CallEnd::kReturned);
  stack.exit(3, 2 * kDepth, CallEnd::kReturned);
  EXPECT_EQ(log.count, kDepth + 1);
  EXPECT_EQ(log.total_self, 2 * kDepth);
}

}  // namespace
}  // namespace calltap::test
