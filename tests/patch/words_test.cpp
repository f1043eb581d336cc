// What AArch64 and RISC-V have of their own: words, reach, landing pads, the loader's notification.
#include <dlfcn.h>
#include <gtest/gtest.h>
#include <link.h>
#include <sys/mman.h>

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <string>
#include <vector>

#include "patch/core_sync.h"
#include "patch/memory_map.h"
#include "patch/near_memory.h"
#include "patch/words/forms.h"
#include "patch/words/word_writer.h"
#include "patched_module.h"

extern "C" void counting_handler();

namespace calltap::patch {
namespace {

constexpr std::uint64_t kPage = 4096;

const void* handler() { return reinterpret_cast<const void*>(&counting_handler); }

bool is_built(const std::string& layout) {
  return std::filesystem::exists(PATCH_OBJECTS "/libpatch_" + layout + ".so");
}

class EveryWordLayout : public testing::TestWithParam<std::string> {};

/// Off and on differ in one aligned word a site, and it is the one that the record says.
TEST_P(EveryWordLayout, OneAlignedWordASite) {
  PatchedModule module(GetParam());
  ASSERT_EQ(module.prepare(handler()), "");
  for (int i = 0; i < PatchedModule::kFunctions; ++i) {
    const trampoline::SiteRecord& record = module.record(i);
    const std::uint64_t word = record.unit() + record.word.offset;
    EXPECT_EQ(word % record.word.bytes, 0u);
    const auto* code = code_at(record.entry);
    const std::vector<std::uint8_t> off(code, code + 16);
    ASSERT_EQ(module.toggle(i, true), "");
    for (std::uint64_t k = 0; k < off.size(); ++k) {
      const bool in_word = record.entry + k - word < record.word.bytes;
      EXPECT_TRUE(in_word || code[k] == off[k]) << k;
    }
    EXPECT_FALSE(std::equal(off.begin(), off.end(), code));
  }
}

/// Fills all gaps between addresses, for the life of the object.
class NoRoom {
 public:
  NoRoom(std::uint64_t low, std::uint64_t high) {
    auto used = read_memory_map();
    std::uint64_t begin = low;
    for (const plan::Range& range : *used) {
      if (range.begin > begin) fill(begin, std::min(range.begin, high));
      begin = std::max(begin, range.end);
    }
    fill(begin, high);
  }
  ~NoRoom() {
    for (const plan::Range& range : filled_)
      ::munmap(reinterpret_cast<void*>(range.begin), range.end - range.begin);
  }
  NoRoom(const NoRoom&) = delete;
  NoRoom& operator=(const NoRoom&) = delete;

 private:
  void fill(std::uint64_t begin, std::uint64_t end) {
    if (begin >= end) return;
    // An emulator has mappings of its own, which it does not list.
    constexpr std::uint64_t kLeast = 65536;
    void* const at = ::mmap(reinterpret_cast<void*>(begin), end - begin, PROT_NONE,
                            MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);
    if (at == reinterpret_cast<void*>(begin)) {
      filled_.push_back({begin, end});
    } else if (end - begin > kLeast) {
      const std::uint64_t middle = begin + (end - begin) / 2 / kPage * kPage;
      fill(begin, middle);
      fill(middle, end);
    }
  }
  std::vector<plan::Range> filled_;
};

TEST_P(EveryWordLayout, RefusedWhereNoStubIsInReach) {
  PatchedModule module(GetParam());
  const auto first = reinterpret_cast<std::uint64_t>(module.function(0)) & ~(kPage - 1);
  const std::vector<std::uint8_t> before = module.text();
  {
    const std::uint64_t reach = kStubReach.bytes + (std::uint64_t{512} << 20);
    const NoRoom taken(first > reach ? first - reach : std::uint64_t{1} << 20, first + reach);
    EXPECT_NE(module.prepare(handler()), "");
    EXPECT_EQ(module.text(), before);
  }
  EXPECT_EQ(module.prepare(handler()), "") << "now there is room";
}

INSTANTIATE_TEST_SUITE_P(Patch, EveryWordLayout, testing::ValuesIn(built_layouts()),
                         [](const auto& layout) { return layout.param; });

/// The sites at either end of a module that takes more address space than a jump reaches have stubs of their
/// own.
TEST(FarSections, HaveStubsNearby) {
  if (!is_built("gcc_2_far")) GTEST_SKIP() << "jumps of this architecture reach farther";
  PatchedModule module("gcc_2_far");
  const auto low = reinterpret_cast<std::uint64_t>(module.function(0));
  const auto high = reinterpret_cast<std::uint64_t>(module.function(PatchedModule::kFunctions - 1));
  ASSERT_GT(high - low, kStubReach.bytes);
  ASSERT_EQ(module.prepare(handler()), "");
  ASSERT_EQ(module.enable(), "");
  EXPECT_TRUE(module.all_work());
  EXPECT_GT(&module.record(PatchedModule::kFunctions - 1) - &module.record(0), PatchedModule::kFunctions);
}

TEST(LandingPads, BodiesBeginWithOneWhereTheModuleHasBti) {
  if (!is_built("gcc_2_bti")) GTEST_SKIP() << "this architecture has none";
  PatchedModule module("gcc_2_bti");
  ASSERT_EQ(module.prepare(handler()), "");
  constexpr std::uint32_t kBtiC = 0xd503245f;
  for (int i = 0; i < PatchedModule::kFunctions; ++i) {
    EXPECT_EQ(*reinterpret_cast<const std::uint32_t*>(module.record(i).body()), kBtiC);
  }
}

TEST(LandingPads, AreLeftOutWhereNothingNeedsThem) {
  if (!is_built("gcc_2")) GTEST_SKIP() << "this architecture has none";
  PatchedModule module("gcc_2");
  const std::vector<std::uint8_t> before = module.text();
  ASSERT_EQ(module.prepare(handler()), "");
  EXPECT_EQ(module.text(), before);
}

TEST(LandingPads, OneNopHasNoRoomForOne) {
  if (!is_built("refused_1_bti")) GTEST_SKIP() << "this architecture has none";
  PatchedModule module("refused_1_bti");
  EXPECT_EQ(module.prepare(handler()), "0 prepared, 60 refused");
}

/// Pages of words that nobody executes.
class Words : public testing::Test {
 protected:
  static constexpr std::size_t kPages = 40;
  static constexpr std::size_t kWords = kPages * kPage / 4;

  void SetUp() override {
    void* memory =
        ::mmap(nullptr, kPages * kPage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    ASSERT_NE(memory, MAP_FAILED);
    words_ = static_cast<std::uint32_t*>(memory);
    for (std::size_t i = 0; i < kWords; ++i) words_[i] = static_cast<std::uint32_t>(i * 0x01010107);
    ASSERT_EQ(::mprotect(memory, kPages * kPage, PROT_READ | PROT_EXEC), 0);
    for (const std::size_t word : {std::size_t{0}, std::size_t{1023}, std::size_t{1024}, std::size_t{5000},
                                   std::size_t{20000}, kWords - 1}) {
      changes.push_back({reinterpret_cast<std::uint64_t>(words_ + word), 4, words_[word], ~words_[word]});
    }
  }
  void TearDown() override { ::munmap(words_, kPages * kPage); }
  [[nodiscard]] std::vector<std::uint32_t> words() const { return {words_, words_ + kWords}; }
  [[nodiscard]] std::vector<std::uint32_t> wanted() const {
    std::vector<std::uint32_t> all = words();
    for (const WordChange& change : changes)
      all[(change.address - reinterpret_cast<std::uint64_t>(words_)) / 4] = change.wanted;
    return all;
  }

  std::vector<WordChange> changes;

 private:
  std::uint32_t* words_ = nullptr;
};

TEST_F(Words, TheListedWordsChangeAndNoOthers) {
  const std::vector<std::uint32_t> expected = wanted();
  ASSERT_TRUE(WordWriter(false).apply(changes).ok());
  EXPECT_EQ(words(), expected);
}

TEST_F(Words, OneUnexpectedWordAndNothingIsWritten) {
  const std::vector<std::uint32_t> before = words();
  changes.back().expected ^= 1;
  const auto done = WordWriter(false).apply(changes);
  ASSERT_FALSE(done.ok());
  EXPECT_EQ(done.error().code, base::ErrorCode::kTextMismatch);
  EXPECT_EQ(done.error().address, changes.back().address);
  EXPECT_EQ(words(), before);
}

/// Whatever way it takes here: an emulator runs what it has translated, and does not see every write.
TEST(WordWriter, WhatItWritesIsExecuted) {
  void* memory = ::mmap(nullptr, kPage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  auto* words = static_cast<std::uint32_t*>(memory);
  ReturningCode code;
  make_returning(code, 0);
  std::copy(std::begin(code), std::end(code), words);
  ASSERT_EQ(::mprotect(memory, kPage, PROT_READ | PROT_EXEC), 0);
  clean_caches(reinterpret_cast<std::uint64_t>(words), sizeof code);
  const auto run = reinterpret_cast<std::uint32_t (*)()>(memory);
  for (std::uint32_t value = 1; value < 10; ++value) {
    make_returning(code, value);
    const WordChange change = {reinterpret_cast<std::uint64_t>(words), 4, words[0], code[0]};
    ASSERT_TRUE(WordWriter(false).apply({&change, 1}).ok());
    ASSERT_TRUE(synchronise_cores().ok());
    EXPECT_EQ(run(), value);
  }
  ::munmap(memory, kPage);
}

std::atomic<int> notifications{0};
void loader_notifies() { notifications.fetch_add(1); }

TEST(Loader, ItsNotificationsComeToUs) {
  const auto at = static_cast<std::uint64_t>(_r_debug.r_brk);
  ASSERT_NE(at, 0u);
  const auto redirect = [at] {
    Patcher patcher;
    return patcher.redirect(at, reinterpret_cast<std::uint64_t>(&loader_notifies));
  };
  const auto done = redirect();
  ASSERT_TRUE(done.ok()) << base::text(done.error().code);
  {
    const PatchedModule module(built_layouts().front());
    EXPECT_EQ(notifications.load(), 2) << "before and after";
    EXPECT_TRUE(module.all_work());
  }
  EXPECT_EQ(notifications.load(), 4);
  EXPECT_EQ(redirect().error().code, base::ErrorCode::kSiteNotPatchable) << "it looks different now";
}

}  // namespace
}  // namespace calltap::patch
