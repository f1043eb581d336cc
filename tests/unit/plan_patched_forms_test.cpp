// Every text that a thread can meet while a site is prepared and switched, read by an independent
// disassembler.
#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

#include "isa/x86_64/encode.h"
#include "plan/plan.h"
#include "x86_disassembler.h"

namespace calltap::plan {
namespace {

using base::LinkAddress;
using isa::x86_64::ByteRule;
using isa::x86_64::Sled;
using site::Site;
using Bytes = std::vector<std::uint8_t>;

constexpr std::uint64_t kUnit = 0x7f2345678000;

Bytes off_bytes(const Sled& sled) {
  Bytes bytes;
  for (std::size_t i = 0; i < sled.length; ++i) bytes.push_back(sled.bytes[i].off);
  return bytes;
}

Site bare_site(const Bytes& unit) {
  Site site;
  site.recorded = site.entry = site.unit = LinkAddress(kUnit);
  site.entry_bytes = static_cast<std::uint8_t>(unit.size());
  return site;
}

/// Instructions from `code` on change nothing but flags and end exactly with it.
testing::AssertionResult falls_through(std::span<const std::uint8_t> code) {
  std::size_t covered = 0;
  for (const test::Disassembled& i : test::disassemble(code, kUnit)) {
    switch (i.mnemonic) {
      case ZYDIS_MNEMONIC_NOP:
      case ZYDIS_MNEMONIC_CLC:
      case ZYDIS_MNEMONIC_STC:
      case ZYDIS_MNEMONIC_CMC:
      case ZYDIS_MNEMONIC_CLD:
        break;
      default:
        return testing::AssertionFailure() << test::hex_bytes(code) << ": " << i.text;
    }
    covered += i.length;
  }
  if (covered != code.size())
    return testing::AssertionFailure() << test::hex_bytes(code) << " does not end there";
  return testing::AssertionSuccess();
}

/// Harmless from its start and, where it is made of one-byte instructions, from each place a thread may stand
/// at.
testing::AssertionResult harmless(const Sled& sled, const Bytes& code) {
  for (std::size_t from = 0; from < code.size(); ++from) {
    if (from != 0 && sled.bytes[from].rule != ByteRule::kHarmless) continue;
    if (from != 0 && sled.instruction != 1) continue;  // inside one instruction: no thread stands there
    if (auto result = falls_through(std::span(code).subspan(from)); !result) return result;
  }
  return testing::AssertionSuccess();
}

/// All mixtures of `before` and the plan's prepare bytes are harmless; the last one, with on_byte, jumps to
/// `target`.
void check_plan(const Sled& sled, const SitePlan& plan, const Bytes& before, std::uint64_t target) {
  Bytes code;
  for (unsigned subset = 0; subset < 1u << plan.prepare_count; ++subset) {
    code = before;
    for (unsigned i = 0; i < plan.prepare_count; ++i) {
      if (subset >> i & 1) code[plan.prepare[i].offset] = plan.prepare[i].byte;
    }
    ASSERT_TRUE(harmless(sled, code));
  }
  ASSERT_EQ(code[0], plan.off_byte);
  code[0] = plan.on_byte;
  const test::Disassembled jump = test::disassemble_one(code, kUnit);
  ASSERT_EQ(jump.mnemonic, ZYDIS_MNEMONIC_JMP) << test::hex_bytes(code);
  ASSERT_EQ(jump.length, plan.on_byte == isa::x86_64::kJmpRel8 ? 2 : 5) << test::hex_bytes(code);
  ASSERT_EQ(jump.target, target) << test::hex_bytes(code);
}

TEST(PatchedForms, PadJumpsToFiveBytesBeforeTheEntry) {
  for (const Form form : {Form::kOneByteNops, Form::kTwoByteNop}) {
    for (const unsigned landing_pad : {0u, 4u}) {
      const Sled& sled = *isa::x86_64::find_sled(form);
      Bytes before = off_bytes(sled);
      before.resize(2);
      Site site = bare_site(before);
      site.entry = LinkAddress(kUnit - landing_pad);
      site.landing_pad_bytes = static_cast<std::uint8_t>(landing_pad);
      site.pad_bytes = 16;
      const SitePlan plan = classify(site, before, false);
      ASSERT_EQ(plan.method, Method::kPad);
      EXPECT_EQ(plan.jump_at.value, kUnit - landing_pad - 5);
      check_plan(sled, plan, before, kUnit - landing_pad - 5);
    }
  }
}

TEST(PatchedForms, StubInThePadIsJumpedToDirectly) {
  for (const Form form : {Form::kOneByteNops, Form::kTwoByteNop}) {
    const Sled& sled = *isa::x86_64::find_sled(form);
    Bytes before = off_bytes(sled);
    before.resize(2);
    Site site = bare_site(before);
    site.pad_bytes = 9;
    SitePlan plan = classify(site, before, false);
    ASSERT_TRUE(can_have_stub_in_pad(plan, site));
    set_stub_in_pad(plan, site, true);
    EXPECT_EQ(plan.jump_at.value, kUnit - 9);
    check_plan(sled, plan, before, kUnit - 9);
    set_stub_in_pad(plan, site, false);
    check_plan(sled, plan, before, kUnit - 5);
  }
}

TEST(PatchedForms, StubFitsIntoNoSmallerPadAndNotBehindALandingPad) {
  const Bytes before(2, 0x90);
  Site site = bare_site(before);
  site.pad_bytes = 8;
  EXPECT_FALSE(can_have_stub_in_pad(classify(site, before, false), site));
  site.pad_bytes = 16;
  EXPECT_TRUE(can_have_stub_in_pad(classify(site, before, false), site));
  site.entry = LinkAddress(kUnit - 4);
  site.landing_pad_bytes = 4;
  EXPECT_FALSE(can_have_stub_in_pad(classify(site, before, false), site));
  const Bytes mirror_form(5, 0x90);
  const Site without_pad = bare_site(mirror_form);
  EXPECT_FALSE(can_have_stub_in_pad(classify(without_pad, mirror_form, false), without_pad));
}

/// All displacements that a form's table row allows, found by trying every value of the bytes that are not
/// fixed.
std::vector<std::int32_t> all_displacements(const Sled& sled) {
  std::vector<std::int32_t> all{0};
  for (std::size_t i = 1; i < 5; ++i) {
    std::vector<std::int32_t> longer;
    for (const std::int32_t d : all) {
      for (unsigned byte = 0; byte < 256; ++byte) {
        if (!isa::x86_64::obeys(sled.bytes[i], static_cast<std::uint8_t>(byte))) continue;
        longer.push_back(static_cast<std::int32_t>(static_cast<std::uint32_t>(d) | byte << (8 * (i - 1))));
      }
    }
    all = std::move(longer);
  }
  return all;
}

class MirrorForm : public testing::TestWithParam<Form> {};

TEST_P(MirrorForm, EveryMixtureOfEveryDisplacementIsHarmless) {
  const Sled& sled = *isa::x86_64::find_sled(GetParam());
  const Bytes before = off_bytes(sled);
  const Site site = bare_site(before);
  std::vector<std::int32_t> displacements = all_displacements(sled);
  const bool three_fixed = GetParam() == Form::kNopw44 || GetParam() == Form::kNopw84;
  const std::size_t two_free = three_fixed ? 256 : 65536;
  EXPECT_EQ(displacements.size(), GetParam() == Form::kOneByteNops ? 625 : two_free);
  for (const std::int32_t displacement : displacements) {
    ASSERT_TRUE(displacement_fits(GetParam(), displacement));
    SitePlan plan = classify(site, before, false);
    set_displacement(plan, site, displacement);
    ASSERT_EQ(plan.method, Method::kMirror);
    const std::uint64_t target = kUnit + 5 + static_cast<std::uint64_t>(std::int64_t{displacement});
    ASSERT_EQ(plan.jump_at.value, target);
    ASSERT_NO_FATAL_FAILURE(check_plan(sled, plan, before, target));
  }
}

TEST_P(MirrorForm, AnyPreparedSiteCanBePreparedForAnotherDisplacement) {
  const Sled& sled = *isa::x86_64::find_sled(GetParam());
  const Site site = bare_site(off_bytes(sled));
  const std::vector<std::int32_t> displacements = all_displacements(sled);
  std::mt19937 random(3);
  for (unsigned round = 0; round < 5000; ++round) {
    Bytes before = off_bytes(sled);
    for (std::size_t i = 1; i < sled.length; ++i) {
      const auto byte = static_cast<std::uint8_t>(random());
      if (sled.bytes[i].rule == ByteRule::kOperand) before[i] = byte;
      if (sled.bytes[i].rule == ByteRule::kHarmless) before[i] = isa::x86_64::kHarmlessInstructions[byte % 5];
    }
    const std::int32_t displacement = displacements[random() % displacements.size()];
    SitePlan plan = classify(site, before, false);
    ASSERT_EQ(plan.form, GetParam()) << test::hex_bytes(before);
    set_displacement(plan, site, displacement);
    ASSERT_NO_FATAL_FAILURE(
        check_plan(sled, plan, before, kUnit + 5 + static_cast<std::uint64_t>(std::int64_t{displacement})));
  }
}

TEST_P(MirrorForm, ADisplacementWithOneByteChangedFitsOnlyIfThatByteIsFree) {
  const Sled& sled = *isa::x86_64::find_sled(GetParam());
  const auto fitting = static_cast<std::uint32_t>(all_displacements(sled).front());
  unsigned fixed = 0;
  for (unsigned shift = 0; shift < 32; shift += 8) {
    unsigned fits = 0;
    for (std::uint32_t byte = 0; byte < 256; ++byte) {
      const std::uint32_t other = (fitting & ~(0xffu << shift)) | byte << shift;
      fits += displacement_fits(GetParam(), static_cast<std::int32_t>(other));
    }
    const unsigned expected = GetParam() == Form::kOneByteNops ? 5 : fits == 1 ? 1 : 256;
    ASSERT_EQ(fits, expected) << "byte " << shift / 8;
    fixed += fits == 1;
  }
  const bool three_fixed = GetParam() == Form::kNopw44 || GetParam() == Form::kNopw84;
  EXPECT_EQ(fixed, GetParam() == Form::kOneByteNops ? 0u : three_fixed ? 3u : 2u);
}

std::string form_name(const testing::TestParamInfo<Form>& param) {
  std::string letters;  // "66 0F 1F 44 sib d8" as the test's name allows it
  for (const char c : isa::x86_64::find_sled(param.param)->notation) {
    if (c == ' ' || c == '.') continue;
    letters += c;
  }
  return letters;
}

INSTANTIATE_TEST_SUITE_P(Sled, MirrorForm,
                         testing::Values(Form::kOneByteNops, Form::kNopl44, Form::kNopl80, Form::kNopl84,
                                         Form::kNopw44, Form::kNopw84),
                         form_name);

TEST(PatchedForms, ConvertedOneByteNopsBehaveAsTheFiveByteNop) {
  const Bytes before(5, 0x90);
  const Site site = bare_site(before);
  SitePlan plan = classify(site, before, true);
  ASSERT_TRUE(plan.convert);
  const std::int32_t displacement = 0x0100441f;
  set_displacement(plan, site, displacement);
  const Sled& sled = *isa::x86_64::find_sled(plan.form);
  check_plan(sled, plan, off_bytes(sled), kUnit + 5 + 0x0100441f);
}

TEST(PatchedForms, ShortFormsHaveNoMirror) {
  for (const Form form : {Form::kNone, Form::kTwoByteNop, Form::kOtherNop}) {
    EXPECT_FALSE(displacement_fits(form, 0));
    EXPECT_FALSE(displacement_fits(form, -0x6f6f6f70));
  }
}

}  // namespace
}  // namespace calltap::plan
