#include <gtest/gtest.h>

#include <random>

#include "isa/aarch64/decode.h"
#include "isa/aarch64/encode.h"
#include "isa/aarch64/sled_forms.h"
#include "llvm_disassembler.h"

namespace calltap::isa::aarch64 {
namespace {

using base::ErrorCode;
using base::TargetAddress;
using test::LlvmDisassembler;

constexpr std::int64_t kMiB = std::int64_t{1} << 20;
constexpr TargetAddress kAt(0x7f1234561000);
constexpr Register reg(unsigned number) { return static_cast<Register>(number); }

class AArch64 : public testing::Test {
 protected:
  void SetUp() override {
    if (!llvm_.available()) GTEST_SKIP() << llvm_.why();
  }

  /// `encode(at, to)` must give this text with the distance behind it, for any distance that is a multiple of
  /// `unit`, the first and the last in reach among them, and refuse the next ones on both sides.
  template <class Encode>
  void check_relative(Encode encode, const std::string& text, std::int64_t reach, std::int64_t unit) const {
    std::mt19937_64 random(7);
    for (int round = 0; round < 5000; ++round) {
      const TargetAddress at(random() >> 17 & ~std::uint64_t{3});
      std::int64_t count = static_cast<std::int64_t>(random()) % (reach / unit);
      if (round == 0) count = reach / unit - 1;
      if (round == 1) count = -reach / unit;
      const auto code = encode(at, at + count * unit);
      ASSERT_TRUE(code.ok()) << count;
      ASSERT_EQ(llvm_.text(*code), text + std::to_string(count * unit));
    }
    for (const std::int64_t distance : {reach, -reach - unit, INT64_MAX & ~std::int64_t{7}, INT64_MIN}) {
      const auto code = encode(kAt, kAt + distance);
      EXPECT_EQ(code.error().code, ErrorCode::kOutOfReach) << distance;
      EXPECT_EQ(code.error().address, kAt.value);
    }
    expect_misaligned(encode(kAt + 2, kAt + 2), kAt + 2);
    if (unit > 1) expect_misaligned(encode(kAt, kAt + (unit - 1)), kAt);
  }
  template <class Result>
  static void expect_misaligned(const Result& code, TargetAddress at) {
    EXPECT_EQ(code.error().code, ErrorCode::kMisaligned);
    EXPECT_EQ(code.error().address, at.value);
  }

  LlvmDisassembler llvm_{LlvmDisassembler::Machine::kAArch64};
};

TEST_F(AArch64, BranchesReach128MiB) {
  check_relative(b, "b #", 128 * kMiB, 4);
  check_relative(bl, "bl #", 128 * kMiB, 4);
}

TEST_F(AArch64, AdrReaches1MiBToTheByte) {
  for (const unsigned number : {0U, 9U, 17U, 30U}) {
    const auto encode = [number](TargetAddress at, TargetAddress to) { return adr(at, reg(number), to); };
    check_relative(encode, "adr x" + std::to_string(number) + ", #", kMiB, 1);
  }
}

TEST_F(AArch64, LiteralsAreLoadedFrom1MiB) {
  const auto encode = [](TargetAddress at, TargetAddress to) { return ldr_literal(at, Register::kX16, to); };
  check_relative(encode, "ldr x16, #", kMiB, 4);
}

TEST_F(AArch64, AdrpAndAddReach4GiBOfPages) {
  constexpr std::int64_t kReach = std::int64_t{1} << 32;
  const TargetAddress page(kAt.value & ~std::uint64_t{4095});
  std::mt19937_64 random(7);
  for (int round = 0; round < 5000; ++round) {
    const TargetAddress at = page + static_cast<std::int64_t>(random() % 1024 * 4);
    std::int64_t distance = static_cast<std::int64_t>(random()) % kReach;
    if (round == 0) distance = kReach - 1;
    if (round == 1) distance = -kReach;
    const std::int64_t in_page = distance & 4095;
    const auto code = adrp_add(at, Register::kX17, page + distance);
    ASSERT_TRUE(code.ok()) << distance;
    ASSERT_EQ(llvm_.text(*code), "adrp x17, #" + std::to_string(distance - in_page) + "; add x17, x17, #" +
                                     std::to_string(in_page));
  }
  for (const std::int64_t distance : {kReach, -kReach - 1}) {
    for (const std::int64_t offset : {0, 4092}) {
      const auto code = adrp_add(page + offset, Register::kX17, page + distance);
      EXPECT_EQ(code.error().code, ErrorCode::kOutOfReach) << distance;
      EXPECT_EQ(code.error().address, (page + offset).value);
    }
  }
  expect_misaligned(adrp_add(page + 1, Register::kX17, page), page + 1);
}

TEST_F(AArch64, LoadsWithEveryOffset) {
  for (std::uint32_t offset = 0; offset <= 32760; offset += 8) {
    std::string expected = "ldr x16, [x17, #" + std::to_string(offset) + "]";
    if (offset == 0) expected = "ldr x16, [x17]";
    ASSERT_EQ(llvm_.text(*ldr(Register::kX16, Register::kX17, offset)), expected);
  }
  EXPECT_EQ(ldr(Register::kX16, Register::kX17, 32768).error().code, ErrorCode::kOutOfReach);
  EXPECT_EQ(ldr(Register::kX16, Register::kX17, UINT32_MAX - 7).error().code, ErrorCode::kOutOfReach);
  for (std::uint32_t offset = 1; offset < 8; ++offset) {
    EXPECT_EQ(ldr(Register::kX16, Register::kX17, offset).error().code, ErrorCode::kMisaligned);
  }
}

TEST_F(AArch64, RegistersAreInTheirPlaces) {
  for (unsigned n = 0; n <= 30; ++n) {
    const std::string x = "x" + std::to_string(n);
    EXPECT_EQ(llvm_.text(br(reg(n))), "br " + x);
    EXPECT_EQ(llvm_.text(blr(reg(n))), "blr " + x);
    EXPECT_EQ(llvm_.text(mov(reg(n), reg(30 - n))), "mov " + x + ", x" + std::to_string(30 - n));
    EXPECT_EQ(llvm_.text(*ldr(reg(n), reg(30 - n), 8)),
              "ldr " + x + ", [x" + std::to_string(30 - n) + ", #8]");
    EXPECT_EQ(llvm_.text(*adrp_add(kAt, reg(n), kAt)), "adrp " + x + ", #0; add " + x + ", " + x + ", #0");
  }
}

TEST_F(AArch64, WithoutOperands) {
  EXPECT_EQ(llvm_.text(nop()), "nop");
  EXPECT_EQ(llvm_.text(ret()), "ret");
  EXPECT_EQ(llvm_.text(mov(Register::kX9, Register::kLink)), "mov x9, x30");
  EXPECT_EQ(llvm_.text(bti(Landing::kNone)), "bti");
  EXPECT_EQ(llvm_.text(bti(Landing::kCall)), "bti c");
  EXPECT_EQ(llvm_.text(bti(Landing::kJump)), "bti j");
  EXPECT_EQ(llvm_.text(bti(Landing::kBoth)), "bti jc");
}

TEST_F(AArch64, StubLoadsTheRecordAndJumpsThroughIt) {
  const auto code = stub(kAt + 0xff4, kAt + 0x123458, 0x18);
  ASSERT_TRUE(code.ok());
  EXPECT_EQ(llvm_.text(*code), "adrp x17, #1191936; add x17, x17, #1112; ldr x16, [x17, #24]; br x16");
  EXPECT_EQ(stub(kAt, kAt + (std::int64_t{1} << 32), 0).error().code, ErrorCode::kOutOfReach);
  EXPECT_EQ(stub(kAt, kAt, 4).error().code, ErrorCode::kMisaligned);
}

TEST_F(AArch64, CallStubFindsTheRecordFromTheLinkRegister) {
  EXPECT_EQ(llvm_.text(call_stub()),
            "and x17, x30, #0xfffffffffffffff8; ldur x17, [x17, #-16]; ldr x16, [x17]; br x16");
}

TEST_F(AArch64, IslandJumpsAnywhere) {
  const TargetAddress to(0xfedcba9876543210);
  const auto code = island(kAt + 4, to);
  ASSERT_TRUE(code.ok());
  EXPECT_EQ(llvm_.text(std::span(*code).first(kIslandLiteral)), "ldr x16, #8; br x16");
  const auto pointer = literal(to.value);
  EXPECT_TRUE(std::equal(pointer.begin(), pointer.end(), code->begin() + kIslandLiteral));
  EXPECT_EQ(pointer[0], 0x10);
  EXPECT_EQ(pointer[7], 0xfe);
  expect_misaligned(island(kAt + 2, to), kAt + 2);
  expect_misaligned(island(kAt, to + 2), kAt);
}

TEST_F(AArch64, NopAndLandingPadsAmongAllHints) {
  for (std::uint32_t hint = 0; hint < 128; ++hint) {
    Instruction code = nop();
    code[0] = static_cast<std::uint8_t>((code[0] & 0x1f) | hint << 5);
    code[1] = static_cast<std::uint8_t>((code[1] & 0xf0) | hint >> 3);
    const std::string text = llvm_.text(code);
    EXPECT_EQ(nop_length(code), text == "nop" ? 4u : 0u) << text;
    EXPECT_EQ(is_landing_pad(code), text == "bti c" || text == "bti jc") << text;
  }
}

TEST(AArch64Decode, WantsWholeInstructions) {
  const Instruction whole_nop = nop(), whole_bti = bti(Landing::kCall);
  for (std::size_t size = 0; size < 4; ++size) {
    EXPECT_EQ(nop_length(std::span(whole_nop).first(size)), 0u);
    EXPECT_FALSE(is_landing_pad(std::span(whole_bti).first(size)));
  }
  for (unsigned bit = 0; bit < 32; ++bit) {
    Instruction code = nop();
    code[bit / 8] ^= static_cast<std::uint8_t>(1 << bit % 8);
    EXPECT_EQ(nop_length(code), 0u) << bit;
  }
}

TEST(AArch64Decode, Calls) {
  for (const std::int64_t offset : {4L, -4L, 4096L, 0x7fffffcL, -0x8000000L}) {
    EXPECT_EQ(call_offset(*bl(kAt, kAt + offset)), offset);
    EXPECT_EQ(call_offset(*b(kAt, kAt + offset)), 0) << "no call";
  }
  const Instruction whole = *bl(kAt, kAt + 8);
  EXPECT_EQ(call_offset(std::span(whole).first(3)), 0) << "cut off";
  EXPECT_EQ(call_offset(nop()), 0);
}

std::uint32_t word(std::span<const std::uint8_t> code) { return word_at(code, 0, 4); }

TEST(AArch64SledForms, AreWhatTheEncodersMake) {
  using namespace sled_patterns;
  EXPECT_TRUE(kNop.matches(word(nop())));
  EXPECT_TRUE(kMovX9Link.matches(word(mov(Register::kX9, Register::kLink))));
  for (const std::int64_t distance : {-128 * kMiB, std::int64_t{0}, 128 * kMiB - 4}) {
    EXPECT_TRUE(kB.matches(word(*b(kAt, kAt + distance))));
    EXPECT_FALSE(kB.matches(word(*bl(kAt, kAt + distance))));
    EXPECT_TRUE(kBl.matches(word(*bl(kAt, kAt + distance))));
  }
}

TEST(AArch64SledForms, OneAlignedStoreSwitchesThem) {
  for (const Sled& sled : kSleds) {
    unsigned changing = 0;
    for (std::size_t i = 0; i < sled.count; ++i) {
      changing += sled.words[i].prepared == sled.words[i].on ? 0u : 1u;
    }
    EXPECT_EQ(changing, 1u) << sled.notation;
    EXPECT_EQ(find_sled(sled.form), &sled);
  }
  EXPECT_EQ(find_sled(SledForm::kJump)->switch_offset(), 0u);
  EXPECT_EQ(find_sled(SledForm::kLandingJump)->switch_offset(), 0u);
  EXPECT_EQ(find_sled(SledForm::kLandingJump)->body_offset, 4u) << "at the landing pad";
  EXPECT_EQ(find_sled(SledForm::kCall)->switch_offset(), 4u);
  EXPECT_EQ(find_sled(SledForm::kJump)->length(), 4u);
  EXPECT_EQ(find_sled(SledForm::kCall)->length(), 8u);
  EXPECT_EQ(find_sled(SledForm::kNone), nullptr);
}

TEST(AArch64SledForms, StatesOfASite) {
  const auto state = [](SledForm form, const Instruction& first, const Instruction& second) {
    Code<8> code;
    std::copy(second.begin(), second.end(), std::copy(first.begin(), first.end(), code.begin()));
    return state_of(*find_sled(form), code);
  };
  const Instruction call = *bl(kAt, kAt + 4096), jump = *b(kAt, kAt + 4096);
  const Instruction move = mov(Register::kX9, Register::kLink);
  EXPECT_EQ(state(SledForm::kJump, nop(), nop()), SledState::kOff);
  EXPECT_EQ(state(SledForm::kJump, jump, nop()), SledState::kOn);
  EXPECT_EQ(state(SledForm::kJump, call, nop()), SledState::kForeign);
  const Instruction landing = bti(Landing::kCall);
  EXPECT_EQ(state(SledForm::kLandingJump, nop(), nop()), SledState::kOff);
  EXPECT_EQ(state(SledForm::kLandingJump, nop(), landing), SledState::kPrepared);
  EXPECT_EQ(state(SledForm::kLandingJump, jump, landing), SledState::kOn);
  EXPECT_EQ(state(SledForm::kLandingJump, jump, nop()), SledState::kForeign);
  EXPECT_EQ(state(SledForm::kCall, nop(), nop()), SledState::kOff);
  EXPECT_EQ(state(SledForm::kCall, move, nop()), SledState::kPrepared);
  EXPECT_EQ(state(SledForm::kCall, move, call), SledState::kOn);
  EXPECT_EQ(state(SledForm::kCall, nop(), call), SledState::kForeign);
  EXPECT_EQ(state(SledForm::kCall, move, jump), SledState::kForeign);
  EXPECT_EQ(state_of(*find_sled(SledForm::kCall), nop()), SledState::kForeign) << "too short";
}

}  // namespace
}  // namespace calltap::isa::aarch64
