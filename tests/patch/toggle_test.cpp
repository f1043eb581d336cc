// Switching real functions on and off on every architecture, with a handler that only counts: the patch layer
// alone.
#include <gtest/gtest.h>
#include <sys/mman.h>

#include <atomic>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include "isa/system.h"
#include "patch/core_sync.h"
#include "patched_module.h"

extern "C" {
void counting_handler();
alignas(8) constinit std::atomic<std::uint64_t> counted_calls{0};
}

namespace calltap::patch {
namespace {

class Toggle : public testing::TestWithParam<std::string> {
 protected:
  PatchedModule module{GetParam()};

  std::string prepare() { return module.prepare(reinterpret_cast<const void*>(&counting_handler)); }
  /// Calls every function once, and says how many of them were hooked; -1 if some result was wrong.
  [[nodiscard]] int hooked() {
    const std::uint64_t before = counted_calls.load();
    return module.all_work() ? static_cast<int>(counted_calls.load() - before) : -1;
  }
};

TEST_P(Toggle, FunctionsAreHookedWhileTheyAreOn) {
  ASSERT_EQ(prepare(), "");
  EXPECT_EQ(hooked(), 0);
  const std::vector<std::uint8_t> prepared = module.text();
  for (int round = 0; round < 3; ++round) {
    ASSERT_EQ(module.enable(), "");
    EXPECT_EQ(hooked(), PatchedModule::kFunctions);
    ASSERT_EQ(module.disable(), "");
    EXPECT_EQ(hooked(), 0);
    EXPECT_EQ(module.text(), prepared);
  }
}

TEST_P(Toggle, OneFunctionAlone) {
  ASSERT_EQ(prepare(), "");
  for (int i = 0; i < PatchedModule::kFunctions; i += 7) {
    ASSERT_EQ(module.toggle(i, true), "");
    EXPECT_EQ(hooked(), 1);
    ASSERT_EQ(module.toggle(i, false), "");
    EXPECT_EQ(hooked(), 0);
  }
}

/// One that stays on shows at the end that no call was lost.
TEST_P(Toggle, HundredThousandTimesWhileThreadsCall) {
  ASSERT_EQ(prepare(), "");
  constexpr int kThreads = 4;
  constexpr int kToggles = 100'000;
  constexpr int kToggled[] = {0, 1, 2, 3, 4, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20};
  constexpr int kAlwaysOn = 5;
  ASSERT_EQ(module.toggle(kAlwaysOn, true), "");
  const auto start = counted_calls.load();
  std::atomic<bool> stop{false};
  std::atomic<int> wrong{0};
  std::atomic<std::uint64_t> rounds{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < kThreads; ++i) {
    threads.emplace_back([&] {
      while (!stop.load(std::memory_order_relaxed)) {
        for (int k = 0; k < 22; ++k) {
          if (module.function(k)(1000) != 1000 + PatchedModule::addend(k)) wrong.fetch_add(1);
        }
        rounds.fetch_add(1);
      }
    });
  }
  std::string error;
  for (int i = 0; i < kToggles && error.empty(); i += static_cast<int>(2 * std::size(kToggled))) {
    error = module.toggle(kToggled, true);
    if (error.empty()) error = module.toggle(kToggled, false);
  }
  const std::uint64_t hooked_meanwhile = counted_calls.load() - start;
  stop.store(true);
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(error, "");
  EXPECT_EQ(wrong.load(), 0);
  EXPECT_GE(counted_calls.load() - start, rounds.load()) << "the function that stayed on";
  EXPECT_GT(hooked_meanwhile, 0u);
  ASSERT_EQ(module.toggle(kAlwaysOn, false), "");
  EXPECT_EQ(hooked(), 0);
}

TEST_P(Toggle, SwitchedOffMeansThatNoCallStartsToBeHooked) {
  ASSERT_EQ(prepare(), "");
  std::atomic<bool> stop{false};
  std::thread caller([&] {
    while (!stop.load(std::memory_order_relaxed)) EXPECT_TRUE(module.all_work());
  });
  for (int i = 0; i < 50; ++i) {
    ASSERT_EQ(module.enable(), "");
    for (const std::uint64_t before = counted_calls.load(); counted_calls.load() == before;)
      std::this_thread::yield();
    ASSERT_EQ(module.disable(), "");
  }
  stop.store(true);
  caller.join();
  EXPECT_EQ(hooked(), 0);
}

/// Somebody else's breakpoint, written as a debugger does: behind our back.
TEST_P(Toggle, RefusesTextThatIsNotWhatItShouldBe) {
  ASSERT_EQ(prepare(), "");
  const std::uint64_t unit = module.record(7).unit();
  const int offset = module.record(7).method == static_cast<std::uint8_t>(plan::Method::kFarJump) ? 4 : 0;
  auto* code = reinterpret_cast<std::uint8_t*>(unit + offset);
  const auto set_writable = [&](bool writable) {
    const auto at = isa::native::system_call(SYS_mprotect, static_cast<long>(unit & ~4095UL), 4096,
                                             PROT_READ | PROT_EXEC | (writable ? PROT_WRITE : 0));
    ASSERT_EQ(at, 0);
  };
  const std::uint8_t original = *code;
  set_writable(true);
  *code = static_cast<std::uint8_t>(original ^ 0x5a);
  set_writable(false);
  const std::vector<std::uint8_t> before = module.text();
  EXPECT_NE(module.enable().find("expected"), std::string::npos);
  EXPECT_EQ(module.text(), before) << "nothing may be written when one byte is wrong";
  set_writable(true);
  *code = original;
  set_writable(false);
  EXPECT_EQ(module.enable(), "");
  EXPECT_EQ(hooked(), PatchedModule::kFunctions);
}

/// What is not as in the file is left alone, and the rest is done.
TEST_P(Toggle, SitesThatSomebodyChangedAreRefused) {
  auto* code = reinterpret_cast<std::uint8_t*>(reinterpret_cast<std::uint64_t>(module.function(3)));
  const auto page = reinterpret_cast<std::uint64_t>(code) & ~4095UL;
  ASSERT_EQ(::mprotect(reinterpret_cast<void*>(page), 4096, PROT_READ | PROT_WRITE | PROT_EXEC), 0);
  *code ^= 0x5a;
  ASSERT_EQ(::mprotect(reinterpret_cast<void*>(page), 4096, PROT_READ | PROT_EXEC), 0);
  EXPECT_EQ(prepare(), "59 prepared, 1 refused");
}

INSTANTIATE_TEST_SUITE_P(Patch, Toggle, testing::ValuesIn(built_layouts()),
                         [](const auto& layout) { return layout.param; });

}  // namespace
}  // namespace calltap::patch
