// Bytes on many pages, next to each other and not.
#include "patch/x86_64/text_writer.h"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include <thread>
#include <vector>

#include "denied_system_call.h"

namespace calltap::patch {
namespace {

class ManyPages : public testing::Test {
 protected:
  static constexpr std::size_t kPage = 4096;
  static constexpr std::size_t kPages = 50;
  static constexpr std::size_t kHole = 40;  // a page that is not mapped

  void SetUp() override {
    void* memory =
        ::mmap(nullptr, kPages * kPage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    ASSERT_NE(memory, MAP_FAILED);
    text_ = static_cast<std::uint8_t*>(memory);
    for (std::size_t i = 0; i < kPages * kPage; ++i) text_[i] = static_cast<std::uint8_t>(i * 7);
    ASSERT_EQ(::munmap(text_ + kHole * kPage, kPage), 0);
    ASSERT_EQ(::mprotect(text_, kHole * kPage, PROT_READ | PROT_EXEC), 0);
    ASSERT_EQ(::mprotect(text_ + (kHole + 1) * kPage, (kPages - kHole - 1) * kPage, PROT_READ | PROT_EXEC),
              0);
    // One page, two pages with one between them, more than fit into one write, and around the hole.
    add(0, 0);
    add(0, kPage - 1);
    add(2, 5);
    for (std::size_t page = 4; page < 30; ++page) add(page, page * 100);
    add(30, 0);
    add(kHole - 1, kPage - 1);
    add(kHole + 1, 0);
    add(kPages - 1, kPage - 1);
  }
  void TearDown() override { ::munmap(text_, kPages * kPage); }

  void add(std::size_t page, std::size_t offset) {
    std::uint8_t* at = text_ + page * kPage + offset;
    changes.push_back({reinterpret_cast<std::uint64_t>(at), *at, static_cast<std::uint8_t>(*at + 1)});
  }
  /// All bytes, the hole left out.
  [[nodiscard]] std::vector<std::uint8_t> bytes() const {
    std::vector<std::uint8_t> all(text_, text_ + kHole * kPage);
    all.insert(all.end(), text_ + (kHole + 1) * kPage, text_ + kPages * kPage);
    return all;
  }
  [[nodiscard]] std::vector<std::uint8_t> wanted() const {
    std::vector<std::uint8_t> all = bytes();
    for (const ByteChange& change : changes) {
      const std::size_t at = change.address - reinterpret_cast<std::uint64_t>(text_);
      all[at < kHole * kPage ? at : at - kPage] = change.wanted;
    }
    return all;
  }

  std::vector<ByteChange> changes;

 private:
  std::uint8_t* text_ = nullptr;
};

TEST_F(ManyPages, TheListedBytesChangeAndNoOthers) {
  const std::vector<std::uint8_t> expected = wanted();
  TextWriter writer;
  ASSERT_EQ(writer.way(), WriteWay::kProcMem);
  ASSERT_TRUE(writer.apply(changes).ok());
  EXPECT_EQ(bytes(), expected);
}

TEST_F(ManyPages, TheListedBytesChangeByProtectionToo) {
  const std::vector<std::uint8_t> expected = wanted();
  bool can_deny = false;
  WriteWay way = WriteWay::kProcMem;
  bool done = false;
  std::thread([&] {
    can_deny = deny_system_call(SYS_pwrite64);
    TextWriter writer;
    way = writer.way();
    done = writer.apply(changes).ok();
  }).join();
  if (!can_deny) GTEST_SKIP() << "the kernel has no seccomp filters";
  EXPECT_EQ(way, WriteWay::kProtect);
  EXPECT_TRUE(done);
  EXPECT_EQ(bytes(), expected);
}

TEST_F(ManyPages, OneUnexpectedByteAndNothingIsWritten) {
  const std::vector<std::uint8_t> before = bytes();
  changes.back().expected ^= 0xff;
  const auto done = TextWriter().apply(changes);
  ASSERT_FALSE(done.ok());
  EXPECT_EQ(done.error().code, base::ErrorCode::kTextMismatch);
  EXPECT_EQ(bytes(), before);
}

}  // namespace
}  // namespace calltap::patch
