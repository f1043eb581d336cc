#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "isa/x86_64/decode.h"
#include "isa/x86_64/encode.h"
#include "plan/plan.h"

namespace calltap::plan {
namespace {

using base::LinkAddress;
using site::Site;
using site::SiteProblem;
using Bytes = std::vector<std::uint8_t>;

constexpr std::uint64_t kEntry = 0x12340;

Site site_with(const Bytes& unit, unsigned pad, unsigned landing_pad) {
  Site site;
  site.entry = LinkAddress(kEntry);
  site.recorded = LinkAddress(kEntry - pad);
  site.unit = LinkAddress(kEntry + landing_pad);
  site.pad_bytes = static_cast<std::uint16_t>(pad);
  site.landing_pad_bytes = static_cast<std::uint8_t>(landing_pad);
  site.entry_bytes = static_cast<std::uint8_t>(unit.size());
  site.first_nop_bytes = static_cast<std::uint8_t>(isa::x86_64::nop_length(unit));
  return site;
}

Bytes concat(Bytes a, const Bytes& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}
Bytes nop(std::size_t length) {
  const auto code = isa::x86_64::nop(length);
  return {code.begin(), code.end()};
}

struct Layout {
  std::string what;
  Bytes unit;
  unsigned pad;
  unsigned landing_pad;
  bool fixed_position;
  Method method;
  Form form;
  bool convert;
  unsigned body_offset;
};

const Bytes k10(10, 0x90);
const Bytes kNop10 = {0x66, 0x2e, 0x0f, 0x1f, 0x84, 0x00, 0x00, 0x00, 0x00, 0x00};

const std::vector<Layout> kLayouts = {
    // A pad: two bytes at the entry are enough, whatever they are made of and whatever follows.
    {"gcc 18,16", Bytes(2, 0x90), 16, 0, false, Method::kPad, Form::kOneByteNops, false, 2},
    {"gcc 18,16 endbr", Bytes(2, 0x90), 16, 4, false, Method::kPad, Form::kOneByteNops, false, 2},
    {"gcc 18,16 non-pie", Bytes(2, 0x90), 16, 0, true, Method::kPad, Form::kOneByteNops, false, 2},
    {"gcc 10,5", Bytes(5, 0x90), 5, 0, false, Method::kPad, Form::kOneByteNops, false, 2},
    {"clang 18,16", nop(2), 16, 0, false, Method::kPad, Form::kTwoByteNop, false, 2},
    {"clang 18,16 endbr", nop(2), 16, 4, false, Method::kPad, Form::kTwoByteNop, false, 2},
    {"pad, then an alignment NOP", concat(Bytes(2, 0x90), nop(3)), 14, 0, false, Method::kPad,
     Form::kOneByteNops, false, 2},
    {"prepared before", Bytes{0x90, 0xf9}, 16, 0, false, Method::kPad, Form::kOneByteNops, false, 2},
    {"prepared before, clang", Bytes{0x66, 0xf5}, 16, 4, false, Method::kPad, Form::kTwoByteNop, false, 2},
    {"pad, clang 3", nop(3), 16, 0, false, Method::kTrap, Form::kOtherNop, false, 3},
    {"pad, clang 4", nop(4), 16, 4, false, Method::kTrap, Form::kOtherNop, false, 4},
    {"pad, clang 5", nop(5), 16, 0, false, Method::kMirror, Form::kNopl44, false, 5},
    {"pad too short, 5 at the entry", Bytes(5, 0x90), 4, 0, false, Method::kMirror, Form::kOneByteNops, false,
     5},
    {"landing pad of no known length", Bytes(2, 0x90), 16, 3, false, Method::kNone, Form::kOneByteNops, false,
     0},
    // No pad: a jmp rel32 into the mirror.
    {"gcc 5", Bytes(5, 0x90), 0, 0, false, Method::kMirror, Form::kOneByteNops, false, 5},
    {"gcc 10", k10, 0, 4, false, Method::kMirror, Form::kOneByteNops, false, 5},
    {"gcc 5 non-pie", Bytes(5, 0x90), 0, 0, true, Method::kMirror, Form::kNopl44, true, 5},
    {"gcc 5, then an alignment NOP", concat(Bytes(5, 0x90), nop(9)), 0, 0, false, Method::kMirror,
     Form::kOneByteNops, false, 5},
    {"clang 5, -mfentry", nop(5), 0, 0, false, Method::kMirror, Form::kNopl44, false, 5},
    {"-mfentry non-pie", nop(5), 0, 4, true, Method::kMirror, Form::kNopl44, false, 5},
    {"clang's operand", Bytes{0x0f, 0x1f, 0x44, 0x00, 0x08}, 0, 0, false, Method::kMirror, Form::kNopl44,
     false, 5},
    {"clang 6", nop(6), 0, 0, false, Method::kMirror, Form::kNopw44, false, 6},
    {"clang 7", nop(7), 0, 0, false, Method::kMirror, Form::kNopl80, false, 7},
    {"clang 8", nop(8), 0, 0, false, Method::kMirror, Form::kNopl84, false, 8},
    {"clang 9", nop(9), 0, 4, true, Method::kMirror, Form::kNopw84, false, 9},
    {"clang 16, two instructions", concat(nop(8), nop(8)), 0, 0, false, Method::kMirror, Form::kNopl84, false,
     8},
    // Neither: the trap protocol, as long as it is one instruction.
    {"clang 10", kNop10, 0, 0, false, Method::kTrap, Form::kOtherNop, false, 10},
    {"clang 10 with a pad", kNop10, 16, 0, false, Method::kTrap, Form::kOtherNop, false, 10},
    {"clang 5, another base register", Bytes{0x0f, 0x1f, 0x40, 0x08, 0x90}, 0, 0, false, Method::kNone,
     Form::kOtherNop, false, 0},
    // Too short.
    {"gcc 2", Bytes(2, 0x90), 0, 0, false, Method::kNone, Form::kOneByteNops, false, 0},
    {"gcc 4", Bytes(4, 0x90), 0, 4, false, Method::kNone, Form::kOneByteNops, false, 0},
    {"gcc 1 with a pad", Bytes(1, 0x90), 16, 0, false, Method::kNone, Form::kOneByteNops, false, 0},
    {"clang 2", nop(2), 0, 0, false, Method::kNone, Form::kTwoByteNop, false, 0},
    {"clang 4", nop(4), 4, 0, false, Method::kNone, Form::kOtherNop, false, 0},
    {"four NOPs, then a longer one", concat(Bytes(4, 0x90), nop(5)), 0, 0, false, Method::kNone,
     Form::kOneByteNops, false, 0},
};

TEST(Classify, EveryLayout) {
  for (const Layout& layout : kLayouts) {
    SCOPED_TRACE(layout.what);
    const Site site = site_with(layout.unit, layout.pad, layout.landing_pad);
    const SitePlan plan = classify(site, layout.unit, layout.fixed_position);
    EXPECT_EQ(name(plan.method), name(layout.method));
    EXPECT_EQ(plan.form, layout.form);
    EXPECT_EQ(plan.convert, layout.convert);
    EXPECT_EQ(plan.body_offset, layout.body_offset);
    const bool usable = layout.method != Method::kNone;
    EXPECT_EQ(plan.problem, usable ? SiteProblem::kNone : SiteProblem::kSledTooShort);
    if (!usable) continue;
    EXPECT_EQ(plan.off_byte, layout.convert ? 0x0f : layout.unit[0]);
    EXPECT_TRUE(plan.on_byte == 0xeb || plan.on_byte == 0xe9);
    EXPECT_EQ(plan.on_byte == 0xeb, layout.method != Method::kMirror && layout.pad >= 5);
  }
}

TEST(Classify, PadPlansAreComplete) {
  for (const unsigned landing_pad : {0u, 4u}) {
    const Bytes unit(2, 0x90);
    const SitePlan plan = classify(site_with(unit, 16, landing_pad), unit, false);
    EXPECT_EQ(plan.jump_at, LinkAddress(kEntry - 5));
    ASSERT_EQ(plan.prepare_count, 1);
    EXPECT_EQ(plan.prepare[0].offset, 1);
    EXPECT_EQ(plan.prepare[0].byte, landing_pad == 0 ? 0xf9 : 0xf5);
  }
}

TEST(Classify, TrapJumpsInThePadOrAtTheUnit) {
  const SitePlan padded = classify(site_with(nop(3), 16, 0), nop(3), false);
  EXPECT_EQ(padded.jump_at, LinkAddress(kEntry - 5));
  const SitePlan bare = classify(site_with(kNop10, 0, 4), kNop10, false);
  EXPECT_EQ(bare.jump_at, LinkAddress(kEntry + 4));
}

TEST(Classify, AProblemOfDiscoveryStays) {
  const Bytes unit(5, 0x90);
  Site site = site_with(unit, 16, 0);
  site.problem = SiteProblem::kDuplicate;
  const SitePlan plan = classify(site, unit, false);
  EXPECT_EQ(plan.method, Method::kNone);
  EXPECT_EQ(plan.problem, SiteProblem::kDuplicate);
}

TEST(Classify, CodeIsNotASled) {
  for (const Bytes& code :
       {Bytes{0x55, 0x48, 0x89, 0xe5, 0xc3}, Bytes{0xf9, 0x90, 0x90, 0x90, 0x90}, Bytes{}}) {
    const SitePlan plan = classify(site_with(code, 16, 0), code, false);
    EXPECT_EQ(plan.method, Method::kNone);
    EXPECT_EQ(plan.problem, SiteProblem::kNotNops);
  }
}

TEST(Classify, BytesBehindTheSledAreNotTakenForIt) {
  const Bytes code(5, 0x90);
  Site site = site_with(code, 0, 0);
  site.entry_bytes = 2;
  EXPECT_EQ(classify(site, code, false).problem, SiteProblem::kSledTooShort);
}

TEST(SetDisplacement, NoneFoundFallsBackToTheTrap) {
  const Bytes one_byte(5, 0x90);
  SitePlan plan = classify(site_with(one_byte, 0, 0), one_byte, false);
  set_displacement(plan, site_with(one_byte, 0, 0), 0);
  EXPECT_EQ(plan.method, Method::kTrap);
  EXPECT_TRUE(plan.convert);
  EXPECT_EQ(plan.form, Form::kNopl44);
  EXPECT_EQ(plan.off_byte, 0x0f);
  EXPECT_EQ(plan.body_offset, 5);

  plan = classify(site_with(nop(7), 0, 0), nop(7), false);
  set_displacement(plan, site_with(nop(7), 0, 0), 0x1234441f);  // fits kNopl44 only
  EXPECT_EQ(plan.method, Method::kTrap);
  EXPECT_FALSE(plan.convert);
  EXPECT_EQ(plan.jump_at, LinkAddress(kEntry));
  EXPECT_EQ(plan.prepare_count, 0);
}

}  // namespace
}  // namespace calltap::plan
