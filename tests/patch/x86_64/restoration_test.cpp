// Giving code back: what a thread can meet on the way, and that it is as in the file afterwards.
#include "patch/x86_64/restoration.h"

#include <gtest/gtest.h>

#include <atomic>
#include <random>
#include <thread>

#include "isa/x86_64/encode.h"
#include "patched_module.h"
#include "unit/x86_disassembler.h"

extern "C" {
void counting_handler();
extern std::atomic<std::uint64_t> counted_calls;
}

namespace calltap::patch {
namespace {

namespace x86 = isa::x86_64;
using Bytes = std::vector<std::uint8_t>;

constexpr std::uint64_t kAddress = 0x555555555000;
constexpr std::size_t kUnitBytes = 2;

/// What a thread that starts at `at` finds. It may be the hook's own way as long as that is whole.
enum class Way { kOn, kIntoTheFunction, kWrong };

Way way_from(const Bytes& code, std::size_t at, bool has_record) {
  while (at < code.size() - kUnitBytes) {
    const test::Disassembled i =
        test::disassemble_one(std::span<const std::uint8_t>(code).subspan(at), kAddress + at);
    switch (i.mnemonic) {
      case ZYDIS_MNEMONIC_NOP:
      case ZYDIS_MNEMONIC_CLC:
        break;
      case ZYDIS_MNEMONIC_TEST:
        if (i.touches_memory && !has_record) return Way::kWrong;
        break;
      case ZYDIS_MNEMONIC_MOV:
        if (!i.text.starts_with("mov r11d, ")) return Way::kWrong;
        has_record = true;
        break;
      case ZYDIS_MNEMONIC_JMP:
        return i.length == x86::kJmpRel32Bytes || has_record ? Way::kOn : Way::kWrong;
      default:
        return Way::kWrong;
    }
    at += i.length;
  }
  return at == code.size() - kUnitBytes ? Way::kIntoTheFunction : Way::kWrong;
}

/// Follows the passes through every mixture of each pass's bytes. `places`: where a thread may stand before
/// its jump, and whether r11 has the record there.
void check_passes(const Bytes& prepared, const std::vector<std::pair<std::size_t, bool>>& places) {
  const Bytes file(prepared.size(), 0x90);
  base::Array<RestoreStep> steps;
  const std::size_t entry = prepared.size() - kUnitBytes;
  ASSERT_EQ(plan_restoration({prepared, file, entry, entry}, 0, steps), Restored::kPlanned);
  Bytes code = prepared;
  for (std::uint8_t pass = 0; pass < kRestorePasses; ++pass) {
    std::vector<RestoreStep> now;
    for (const RestoreStep& step : steps) {
      if (step.pass == pass) now.push_back(step);
    }
    Bytes mixture;
    for (unsigned subset = 0; subset < 1u << now.size(); ++subset) {
      mixture = code;
      for (std::size_t i = 0; i < now.size(); ++i) {
        ASSERT_EQ(code[now[i].offset], now[i].from);
        if ((subset >> i & 1) != 0) mixture[now[i].offset] = now[i].to;
      }
      for (const auto& [place, has_record] : places) {
        const Way way = way_from(mixture, place, has_record);
        const bool may_be_on = pass == 0 && way == Way::kOn;
        EXPECT_TRUE(may_be_on || way == Way::kIntoTheFunction)
            << test::hex_bytes(mixture) << " from " << place << " in pass " << +pass;
      }
    }
    code = mixture;  // with all of them
  }
  EXPECT_EQ(code, file);
}

TEST(Restoration, EveryMixtureOfEveryPassLeadsIntoTheFunctionFromAJump) {
  std::mt19937 random(1);
  for (int round = 0; round < 100; ++round) {
    const std::uint32_t distance = random();
    Bytes code = {0xe9};
    for (int shift = 0; shift < 32; shift += 8) code.push_back(static_cast<std::uint8_t>(distance >> shift));
    code.insert(code.end(), {0x90, 0xf9});
    check_passes(code, {{0, false}});
  }
}

TEST(Restoration, EveryMixtureOfEveryPassLeadsIntoTheFunctionFromAStub) {
  std::mt19937 random(2);
  for (int round = 0; round < 100; ++round) {
    const auto stub = x86::pad_stub(base::TargetAddress(random()));
    ASSERT_TRUE(stub);
    Bytes code(stub->begin(), stub->end());
    code.insert(code.end(), {0x90, 0xf5});
    check_passes(code, {{0, false}, {6, true}});
  }
}

TEST(Restoration, APadOfLongNopsIsLeft) {
  const auto stub = x86::pad_stub(base::TargetAddress(0x300000));
  ASSERT_TRUE(stub);
  Bytes prepared(stub->begin(), stub->end());
  prepared.insert(prepared.end(), {0x66, 0xf5});
  const Bytes file = {0x66, 0x0f, 0x1f, 0x84, 0x00, 0x00, 0x00, 0x00, 0x00, 0x66, 0x90};
  base::Array<RestoreStep> steps;
  EXPECT_EQ(plan_restoration({prepared, file, 9, 9}, 0, steps), Restored::kLeft);
  EXPECT_TRUE(steps.empty());
}

class RestoredModule : public testing::TestWithParam<std::string> {
 protected:
  PatchedModule module{GetParam()};
  std::uint64_t calls_of_all() {
    const std::uint64_t before = counted_calls.load();
    EXPECT_TRUE(module.all_work());
    return counted_calls.load() - before;
  }
};

TEST_P(RestoredModule, IsAsInItsFileAndCanBeHookedAgain) {
  ASSERT_EQ(module.prepare(reinterpret_cast<const void*>(&counting_handler)), "");
  for (int round = 0; round < 3; ++round) {
    ASSERT_EQ(module.enable(), "");
    EXPECT_EQ(calls_of_all(), static_cast<std::uint64_t>(PatchedModule::kFunctions));
    ASSERT_EQ(module.disable(), "");
    ASSERT_EQ(module.restore(), "");
    EXPECT_EQ(module.text(), module.text_in_file());
    EXPECT_EQ(calls_of_all(), 0u);
  }
}

TEST_P(RestoredModule, GoesBackAndForthWhileThreadsCall) {
  ASSERT_EQ(module.prepare(reinterpret_cast<const void*>(&counting_handler)), "");
  std::atomic<bool> stop{false};
  std::atomic<int> wrong{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      while (!stop.load(std::memory_order_relaxed)) {
        for (int k = 0; k < PatchedModule::kFunctions; ++k) {
          if (module.function(k)(1000) != 1000 + PatchedModule::addend(k)) wrong.fetch_add(1);
        }
      }
    });
  }
  std::string error;
  for (int round = 0; round < 60 && error.empty(); ++round) {
    error = module.enable();
    if (error.empty()) error = module.disable();
    if (error.empty()) error = module.restore();
  }
  stop = true;
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(error, "");
  EXPECT_EQ(wrong.load(), 0);
  EXPECT_EQ(module.text(), module.text_in_file());
}

/// Those whose code can be given back whole.
std::vector<std::string> restorable_layouts() {
  std::vector<std::string> layouts;
  for (const std::string& layout : built_layouts()) {
    if (layout != "clang_11_8_trap") layouts.push_back(layout);
  }
  return layouts;
}

INSTANTIATE_TEST_SUITE_P(Layouts, RestoredModule, testing::ValuesIn(restorable_layouts()),
                         [](const auto& tested) { return tested.param; });

}  // namespace
}  // namespace calltap::patch
