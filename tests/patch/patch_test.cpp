// Switching real functions on and off, with and without threads that run through them.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/syscall.h>

#include <atomic>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include "denied_system_call.h"
#include "patch/x86_64/text_writer.h"
#include "patched_module.h"
#include "plan/plan.h"

namespace calltap::patch {
namespace {

class EveryLayout : public testing::TestWithParam<std::string> {
 protected:
  PatchedModule module{GetParam()};

  static std::uint64_t hooked_calls() { return ct_thread.sequence; }
  [[nodiscard]] bool uses_trap() {
    return module.record(0).method == static_cast<std::uint8_t>(plan::Method::kTrap);
  }
};

bool any_page_is_writable_and_executable() {
  std::ifstream maps("/proc/self/maps");
  for (std::string line; std::getline(maps, line);) {
    if (line.find(" rwx") != std::string::npos) return true;
  }
  return false;
}

/// Threads that call all functions in turn and check the results, until told to stop.
class Callers {
 public:
  Callers(const PatchedModule& module, int count) {
    for (int i = 0; i < count; ++i) {
      threads_.emplace_back([this, &module] {
        running_.fetch_add(1);
        while (!stop_.load(std::memory_order_relaxed)) {
          if (!module.all_work()) wrong_.fetch_add(1);
          if (ct_thread.sequence != 0) hooked_.store(true);
        }
      });
    }
    while (running_.load() < count) std::this_thread::yield();
  }
  ~Callers() { stop(); }
  void stop() {
    stop_.store(true);
    for (std::thread& thread : threads_) thread.join();
    threads_.clear();
  }
  [[nodiscard]] int wrong() const { return wrong_.load(); }
  /// Has a call met a site that was on?
  [[nodiscard]] bool hooked() const { return hooked_.load(); }

 private:
  std::atomic<int> running_{0};
  std::atomic<int> wrong_{0};
  std::atomic<bool> hooked_{false};
  std::atomic<bool> stop_{false};
  std::vector<std::thread> threads_;
};

TEST_P(EveryLayout, PreparedFunctionsRunUnhooked) {
  ASSERT_EQ(module.prepare(), "");
  const std::uint64_t before = hooked_calls();
  EXPECT_TRUE(module.all_work());
  EXPECT_EQ(hooked_calls(), before);
}

TEST_P(EveryLayout, EnabledFunctionsAreHookedAndWork) {
  ASSERT_EQ(module.prepare(), "");
  ASSERT_EQ(module.enable(), "");
  const std::uint64_t before = hooked_calls();
  EXPECT_TRUE(module.all_work());
  EXPECT_EQ(hooked_calls(), before + PatchedModule::kFunctions);
}

TEST_P(EveryLayout, DisabledFunctionsRunUnhookedAgain) {
  ASSERT_EQ(module.prepare(), "");
  const std::vector<std::uint8_t> prepared = module.text();
  ASSERT_EQ(module.enable(), "");
  EXPECT_NE(module.text(), prepared);
  ASSERT_EQ(module.disable(), "");
  const std::uint64_t before = hooked_calls();
  EXPECT_TRUE(module.all_work());
  EXPECT_EQ(hooked_calls(), before);
  EXPECT_EQ(module.text(), prepared);
}

TEST_P(EveryLayout, TogglesWhileThreadsRunThroughTheSites) {
  ASSERT_EQ(module.prepare(), "");
  Callers callers(module, 3);
  // On a busy machine the callers may run only between the toggles for a long time.
  constexpr int kLeast = 500;
  constexpr int kMost = 1'000'000;
  for (int i = 0; i < kLeast || (!callers.hooked() && i < kMost); ++i) {
    ASSERT_EQ(module.enable(), "");
    ASSERT_EQ(module.disable(), "");
  }
  callers.stop();
  EXPECT_EQ(callers.wrong(), 0);
  EXPECT_TRUE(callers.hooked());
}

/// Kernels can be told to refuse writing through /proc/self/mem.
TEST_P(EveryLayout, TogglesByProtectionWhileThreadsRunThroughTheSites) {
  ASSERT_EQ(module.prepare(), "");
  const std::vector<std::uint8_t> prepared = module.text();
  Callers callers(module, 3);
  bool can_deny = false;
  WriteWay way = WriteWay::kProcMem;
  std::string error;
  std::thread patcher([&] {
    can_deny = deny_system_call(SYS_pwrite64);
    way = TextWriter().way();
    constexpr int kLeast = 200;
    constexpr int kMost = 1'000'000;
    for (int i = 0; error.empty() && (i < kLeast || (!callers.hooked() && i < kMost)); ++i) {
      error = module.enable();
      if (error.empty()) error = module.disable();
    }
  });
  patcher.join();
  callers.stop();
  if (!can_deny) GTEST_SKIP() << "the kernel has no seccomp filters";
  EXPECT_EQ(way, WriteWay::kProtect);
  EXPECT_EQ(error, "");
  EXPECT_EQ(callers.wrong(), 0);
  EXPECT_TRUE(callers.hooked());
  EXPECT_EQ(module.text(), prepared);
  EXPECT_FALSE(any_page_is_writable_and_executable());
}

TEST_P(EveryLayout, OneByteAToggle) {
  ASSERT_EQ(module.prepare(), "");
  if (uses_trap()) GTEST_SKIP() << "this layout needs the trap protocol";
  const std::vector<std::uint8_t> off = module.text();
  ASSERT_EQ(module.enable(), "");
  const std::vector<std::uint8_t> on = module.text();
  int changed = 0;
  for (std::size_t i = 0; i < on.size(); ++i) changed += on[i] != off[i] ? 1 : 0;
  EXPECT_EQ(changed, PatchedModule::kFunctions);
}

TEST_P(EveryLayout, RefusesTextThatIsNotWhatItShouldBe) {
  ASSERT_EQ(module.prepare(), "");
  // Somebody else's breakpoint on one of the functions.
  const std::uint64_t unit = module.record(7).unit();
  const ByteChange breakpoint = {unit, *reinterpret_cast<const std::uint8_t*>(unit), 0xcc};
  {
    TextWriter writer;
    ASSERT_TRUE(writer.apply({&breakpoint, 1}).ok());
  }
  const std::vector<std::uint8_t> before = module.text();
  EXPECT_NE(module.enable().find("found cc"), std::string::npos);
  EXPECT_EQ(module.text(), before) << "nothing may be written when one byte is wrong";
}

bool has_stubs_in_pads(PatchedModule& module) {
  const auto record = reinterpret_cast<std::uint64_t>(&module.record(0));
  const std::uint8_t jump = *reinterpret_cast<const std::uint8_t*>(module.record(0).entry - 9);
  return record <= ~std::uint32_t{0} && jump == 0x41;
}

TEST_P(EveryLayout, HasStubsInPadsWhereThereIsRoom) {
  ASSERT_EQ(module.prepare(), "");
  const std::string layout = GetParam();
  const bool has_room = layout == "gcc_18_16" || layout == "gcc_16_14" || layout == "clang_18_16";
  EXPECT_EQ(has_stubs_in_pads(module), has_room);
}

TEST_P(EveryLayout, WorksWhereTheLowerAddressesAreTaken) {
  constexpr std::size_t kBegin = std::size_t{1} << 20;
  constexpr std::size_t kEnd = (std::size_t{1} << 32) - kBegin;
  void* taken = ::mmap(reinterpret_cast<void*>(kBegin), kEnd - kBegin, PROT_NONE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);
  ASSERT_EQ(taken, reinterpret_cast<void*>(kBegin));
  EXPECT_EQ(module.prepare(), "");
  EXPECT_FALSE(has_stubs_in_pads(module));
  EXPECT_EQ(module.enable(), "");
  const std::uint64_t before = hooked_calls();
  EXPECT_TRUE(module.all_work());
  EXPECT_EQ(hooked_calls() - before, static_cast<std::uint64_t>(PatchedModule::kFunctions));
  EXPECT_EQ(module.disable(), "");
  ::munmap(taken, kEnd - kBegin);
}

TEST_P(EveryLayout, NeverHasPagesWritableAndExecutable) {
  ASSERT_EQ(module.prepare(), "");
  std::atomic<bool> stop{false};
  std::atomic<int> seen{0};
  std::thread watcher([&] {
    while (!stop.load()) seen += any_page_is_writable_and_executable() ? 1 : 0;
  });
  for (int i = 0; i < 100; ++i) {
    EXPECT_EQ(module.enable(), "");
    EXPECT_EQ(module.disable(), "");
  }
  stop.store(true);
  watcher.join();
  EXPECT_EQ(TextWriter().way(), WriteWay::kProcMem);
  EXPECT_EQ(seen.load(), 0);
}

TEST_P(EveryLayout, AThreadThatBlocksSigtrapIsNotKilled) {
  ASSERT_EQ(module.prepare(), "");
  std::atomic<bool> stop{false};
  std::atomic<bool> ready{false};
  std::thread blocker([&] {
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, nullptr);
    ready.store(true);
    while (!stop.load()) EXPECT_TRUE(module.all_work());
  });
  while (!ready.load()) std::this_thread::yield();
  const std::string error = module.enable();
  if (uses_trap()) {
    EXPECT_NE(error.find("SIGTRAP"), std::string::npos);
  } else {
    EXPECT_EQ(error, "");
  }
  stop.store(true);
  blocker.join();
}

INSTANTIATE_TEST_SUITE_P(Patch, EveryLayout, testing::ValuesIn(built_layouts()),
                         [](const auto& layout) { return layout.param; });

}  // namespace
}  // namespace calltap::patch
