// The planner for AArch64 and RISC-V: which form a site gets, and where its switch is.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "isa/aarch64/encode.h"
#include "isa/riscv64/encode.h"
#include "plan/word_plan.h"

namespace calltap::plan {
namespace {

using base::LinkAddress;
using site::Machine;
using site::Site;
using site::SiteProblem;

constexpr std::uint64_t kAligned = 0x12340;

std::vector<std::uint8_t> nops(unsigned nop_bytes, unsigned count, Machine machine) {
  const std::uint32_t nop = nop_bytes == 2 ? 0x0001 : machine == Machine::kAArch64 ? 0xd503201f : 0x00000013;
  std::vector<std::uint8_t> code;
  for (unsigned i = 0; i < count * nop_bytes; ++i) {
    code.push_back(static_cast<std::uint8_t>(nop >> (8 * (i % nop_bytes))));
  }
  return code;
}

struct Row {
  std::string what;
  Machine machine;
  unsigned nop_bytes;
  unsigned total, pad;  // as in the compiler's option
  unsigned landing_pad;
  std::uint64_t entry;
  Method jump;
  Method call;
  SiteProblem problem;  // of the one that does not fit; of `call` if both do not
  unsigned switch_offset, switch_bytes, body_offset;  // of `jump`
};

constexpr auto kArm = Machine::kAArch64;
constexpr auto kRisc = Machine::kRiscV64;
constexpr auto kFine = SiteProblem::kNone;
constexpr auto kShort = SiteProblem::kSledTooShort;
constexpr auto kOdd = SiteProblem::kMisaligned;

const std::vector<Row> kRows = {
    {"4,2", kArm, 4, 4, 2, 0, kAligned, Method::kJump, Method::kCall, kFine, 0, 4, 4},
    {"4,2 bti", kArm, 4, 4, 2, 4, kAligned, Method::kJump, Method::kCall, kFine, 0, 4, 4},
    {"4,2 at 4", kArm, 4, 4, 2, 0, kAligned + 4, Method::kJump, Method::kNone, kOdd, 0, 4, 4},
    {"8,4", kArm, 4, 8, 4, 0, kAligned, Method::kJump, Method::kCall, kFine, 0, 4, 4},
    {"2", kArm, 4, 2, 0, 0, kAligned, Method::kJump, Method::kNone, kShort, 0, 4, 4},
    {"1", kArm, 4, 1, 0, 0, kAligned + 4, Method::kJump, Method::kNone, kShort, 0, 4, 4},
    {"9,8 compressed", kRisc, 2, 9, 8, 0, kAligned, Method::kJump, Method::kNone, kShort, 0, 2, 2},
    {"9,8 compressed at 2", kRisc, 2, 9, 8, 0, kAligned + 2, Method::kJump, Method::kNone, kShort, 0, 2, 2},
    {"8,4 compressed", kRisc, 2, 8, 4, 0, kAligned, Method::kJump, Method::kCall, kFine, 0, 2, 2},
    {"8,4 compressed at 2", kRisc, 2, 8, 4, 0, kAligned + 2, Method::kJump, Method::kNone, kOdd, 0, 2, 2},
    {"8,4 compressed at 4", kRisc, 2, 8, 4, 0, kAligned + 4, Method::kJump, Method::kNone, kOdd, 0, 2, 2},
    {"4 compressed", kRisc, 2, 4, 0, 0, kAligned, Method::kFarJump, Method::kNone, kShort, 4, 4, 8},
    {"4 compressed at 4", kRisc, 2, 4, 0, 0, kAligned + 4, Method::kFarJump, Method::kNone, kShort, 4, 4, 8},
    {"4 compressed at 2", kRisc, 2, 4, 0, 0, kAligned + 2, Method::kNone, Method::kNone, kShort, 0, 0, 0},
    {"2 compressed", kRisc, 2, 2, 0, 0, kAligned, Method::kNone, Method::kNone, kShort, 0, 0, 0},
    {"4,2", kRisc, 4, 4, 2, 0, kAligned, Method::kJump, Method::kCall, kFine, 0, 4, 4},
    {"2", kRisc, 4, 2, 0, 0, kAligned, Method::kFarJump, Method::kNone, kShort, 4, 4, 8},
    {"9,8", kRisc, 4, 9, 8, 0, kAligned, Method::kJump, Method::kNone, kShort, 0, 4, 4},
};

class Words : public testing::TestWithParam<Row> {
 protected:
  [[nodiscard]] static Site site_of(const Row& row) {
    Site site;
    site.entry = LinkAddress(row.entry);
    site.recorded = LinkAddress(row.entry - std::uint64_t{row.pad} * row.nop_bytes);
    site.unit = LinkAddress(row.entry + row.landing_pad);
    site.pad_bytes = static_cast<std::uint16_t>(row.pad * row.nop_bytes);
    site.landing_pad_bytes = static_cast<std::uint8_t>(row.landing_pad);
    site.entry_bytes = static_cast<std::uint8_t>((row.total - row.pad) * row.nop_bytes);
    site.first_nop_bytes = static_cast<std::uint8_t>(row.nop_bytes);
    return site;
  }
};

TEST_P(Words, GetTheFormThatFits) {
  const Row& row = GetParam();
  const WordPlan plan =
      classify_words(row.machine, site_of(row), nops(row.nop_bytes, row.total - row.pad, row.machine), false);
  EXPECT_EQ(plan.jump.method, row.jump);
  EXPECT_EQ(plan.call.method, row.call);
  EXPECT_EQ(plan.call.problem, row.problem);
  EXPECT_EQ(plan.jump.switch_offset, row.switch_offset);
  EXPECT_EQ(plan.jump.switch_bytes, row.switch_bytes);
  EXPECT_EQ(plan.jump.body_offset, row.body_offset);
  EXPECT_EQ(plan.jump.prepared_once, row.jump == Method::kFarJump);
}

TEST_P(Words, AreRefusedWhereSomethingElseIs) {
  const Row& row = GetParam();
  std::vector<std::uint8_t> code = nops(row.nop_bytes, row.total - row.pad, row.machine);
  code[0] ^= 0x40;
  const WordPlan plan = classify_words(row.machine, site_of(row), code, false);
  EXPECT_EQ(plan.jump.method, Method::kNone);
  const SiteProblem expected = row.jump == Method::kNone ? plan.jump.problem : SiteProblem::kNotNops;
  EXPECT_EQ(plan.jump.problem, expected);
}

INSTANTIATE_TEST_SUITE_P(Layouts, Words, testing::ValuesIn(kRows), [](const auto& row) {
  std::string name = row.param.machine == Machine::kAArch64 ? "AArch64_" : "RiscV64_";
  for (const char c : row.param.what) name += c == ' ' || c == ',' ? '_' : c;
  return name;
});

TEST(WordPlan, MisalignedPairOfWordsSaysSo) {
  Site site;
  site.entry = site.unit = site.recorded = LinkAddress(kAligned + 2);
  site.entry_bytes = 8;
  site.first_nop_bytes = 2;
  const WordPlan plan = classify_words(kRisc, site, nops(2, 4, kRisc), false);
  EXPECT_EQ(plan.jump.method, Method::kNone);
  EXPECT_EQ(plan.jump.problem, SiteProblem::kMisaligned);
}

/// In a module with BTI the second NOP becomes the landing pad that the body begins with.
TEST(WordPlan, BodyBeginsWithALandingPadWhereOneIsNeeded) {
  Site site;
  site.entry = site.recorded = LinkAddress(kAligned);
  site.unit = LinkAddress(kAligned + 4);
  site.landing_pad_bytes = 4;
  site.entry_bytes = 8;
  site.first_nop_bytes = 4;
  const WordForm jump = classify_words(kArm, site, nops(4, 2, kArm), true).jump;
  EXPECT_EQ(jump.method, Method::kJump);
  EXPECT_TRUE(jump.landing_pad);
  EXPECT_EQ(jump.switch_offset, 0u);
  EXPECT_EQ(jump.switch_bytes, 4u);
  EXPECT_EQ(jump.body_offset, 4u);
  EXPECT_FALSE(jump.prepared_once) << "may be written while threads run through it";
  EXPECT_FALSE(classify_words(kArm, site, nops(4, 2, kArm), false).jump.landing_pad);
  site.entry_bytes = 4;
  EXPECT_EQ(classify_words(kArm, site, nops(4, 1, kArm), true).jump.problem, SiteProblem::kNoLandingPad);
  EXPECT_EQ(classify_words(kArm, site, nops(4, 1, kArm), false).jump.method, Method::kJump);
}

TEST(WordPlan, SiteWithAProblemKeepsIt) {
  Site site;
  site.problem = SiteProblem::kDuplicate;
  const WordPlan plan = classify_words(kArm, site, {}, false);
  EXPECT_EQ(plan.jump.problem, SiteProblem::kDuplicate);
  EXPECT_EQ(plan.call.problem, SiteProblem::kDuplicate);
}

/// A site that is on, or prepared for calls, is recognised for what it is.
TEST(WordPlan, AnyStateOfTheFormIsAccepted) {
  const base::TargetAddress at(kAligned);
  Site site;
  site.entry = site.unit = LinkAddress(kAligned);
  site.recorded = LinkAddress(kAligned - 8);
  site.pad_bytes = 8;
  site.entry_bytes = 8;
  site.first_nop_bytes = 4;
  std::vector<std::uint8_t> code = nops(4, 2, kArm);
  const auto jump = isa::aarch64::b(at, at + 0x1000);
  std::copy(jump->begin(), jump->end(), code.begin());
  EXPECT_EQ(classify_words(kArm, site, code, false).jump.method, Method::kJump);
  EXPECT_EQ(classify_words(kArm, site, code, false).call.problem, SiteProblem::kNotNops);
  const auto move = isa::aarch64::mov(isa::aarch64::Register::kX9, isa::aarch64::Register::kLink);
  std::copy(move.begin(), move.end(), code.begin());
  EXPECT_EQ(classify_words(kArm, site, code, false).call.method, Method::kCall);
}

}  // namespace
}  // namespace calltap::plan
