#include <gtest/gtest.h>

#include <random>

#include "isa/riscv64/decode.h"
#include "isa/riscv64/encode.h"
#include "isa/riscv64/sled_forms.h"
#include "llvm_disassembler.h"

namespace calltap::isa::riscv64 {
namespace {

using base::ErrorCode;
using base::TargetAddress;
using test::LlvmDisassembler;

constexpr TargetAddress kAt(0x7f1234561000);
constexpr const char* kNames[] = {"zero", "ra", "sp", "gp", "tp",  "t0",  "t1", "t2", "s0", "s1", "a0",
                                  "a1",   "a2", "a3", "a4", "a5",  "a6",  "a7", "s2", "s3", "s4", "s5",
                                  "s6",   "s7", "s8", "s9", "s10", "s11", "t3", "t4", "t5", "t6"};
constexpr Register reg(unsigned number) { return static_cast<Register>(number); }

// What the pair of AUIPC and a 12-bit offset reaches.
constexpr std::int64_t kFirstFar = -(std::int64_t{1} << 31) - 2048;
constexpr std::int64_t kLastFar = (std::int64_t{1} << 31) - 2048 - 1;

class RiscV64 : public testing::Test {
 protected:
  void SetUp() override {
    if (!llvm_.available()) GTEST_SKIP() << llvm_.why();
  }

  /// `encode(at, to)` must give this text with the distance behind it and this length, for any even distance,
  /// the first and the last in reach among them, and refuse the next ones on both sides.
  template <class Encode>
  void check_jump(Encode encode, const std::string& text, std::int64_t reach, std::size_t length) const {
    std::mt19937_64 random(7);
    for (int round = 0; round < 5000; ++round) {
      const TargetAddress at(random() >> 17 & ~std::uint64_t{1});
      std::int64_t distance = static_cast<std::int64_t>(random()) % (reach / 2) * 2;
      if (round == 0) distance = reach - 2;
      if (round == 1) distance = -reach;
      const auto code = encode(at, at + distance);
      ASSERT_TRUE(code.ok()) << distance;
      const auto got = llvm_.one(*code);
      ASSERT_EQ(got.text, text + std::to_string(distance));
      ASSERT_EQ(got.length, length);
    }
    for (const std::int64_t distance : {reach, -reach - 2, INT64_MAX - 1, INT64_MIN}) {
      expect_error(encode(kAt, kAt + distance), ErrorCode::kOutOfReach, kAt);
    }
    expect_error(encode(kAt, kAt + 1), ErrorCode::kMisaligned, kAt);
    expect_error(encode(kAt + 1, kAt + 1), ErrorCode::kMisaligned, kAt + 1);
    expect_error(encode(kAt + 1, kAt), ErrorCode::kMisaligned, kAt + 1);
  }

  /// The same for AUIPC and an instruction with an offset. What the two add up to shows whether the split is
  /// right, not how it was made.
  template <class Encode>
  void check_far(Encode encode, std::int64_t unit) const {
    std::mt19937_64 random(7);
    for (int round = 0; round < 5000; ++round) {
      const TargetAddress at(random() >> 17 & ~std::uint64_t{1});
      std::int64_t distance = static_cast<std::int32_t>(random()) / unit * unit;
      if (round == 0) distance = kLastFar / unit * unit;
      if (round == 1) distance = kFirstFar;
      if (round > 1 && round < 12) distance = (round - 6) * 2048;
      const auto code = encode(at, at + distance);
      ASSERT_TRUE(code.ok()) << distance;
      const auto got = llvm_.all(*code);
      ASSERT_EQ(got.size(), 2u);
      const auto upper = static_cast<std::uint32_t>(last_number(got[0].text)) << 12;
      ASSERT_EQ(static_cast<std::int32_t>(upper) + last_number(got[1].text), distance) << llvm_.text(*code);
    }
    for (const std::int64_t distance : {kLastFar + 1, kFirstFar - unit, INT64_MAX - 1, INT64_MIN}) {
      expect_error(encode(kAt, kAt + distance), ErrorCode::kOutOfReach, kAt);
    }
    expect_error(encode(kAt + 1, kAt + 1), ErrorCode::kMisaligned, kAt + 1);
    if (unit > 1) expect_error(encode(kAt, kAt + 1), ErrorCode::kMisaligned, kAt);
  }

  /// Of the last operand: 7 of "auipc t0, 7", -8 of "jr -8(t1)"; 0 of "jr t1", which has none.
  static std::int64_t last_number(const std::string& text) {
    const std::string operand = text.substr(text.rfind(' ') + 1);
    return operand.starts_with('t') ? 0 : std::stoll(operand);
  }

  template <class Result>
  static void expect_error(const Result& code, ErrorCode expected, TargetAddress at) {
    EXPECT_EQ(code.error().code, expected);
    EXPECT_EQ(code.error().address, at.value);
  }

  LlvmDisassembler llvm_{LlvmDisassembler::Machine::kRiscV64};
};

TEST_F(RiscV64, CompressedJumpReaches2KiB) { check_jump(c_j, "j ", 2048, 2); }

TEST_F(RiscV64, JumpReaches1MiB) {
  const auto jump = [](unsigned link) {
    return [link](TargetAddress at, TargetAddress to) { return jal(at, reg(link), to); };
  };
  check_jump(jump(0), "j ", 1 << 20, 4);
  check_jump(jump(1), "jal ", 1 << 20, 4);
  check_jump(jump(5), "jal t0, ", 1 << 20, 4);
}

TEST_F(RiscV64, EveryDistanceOfTheCompressedJump) {
  for (std::int64_t distance = -2048; distance < 2048; distance += 2) {
    ASSERT_EQ(llvm_.text(*c_j(kAt, kAt + distance)), "j " + std::to_string(distance));
  }
}

TEST_F(RiscV64, FarJumpAndCallReach2GiB) {
  EXPECT_EQ(llvm_.text(*far_jump(kAt, kAt)), "auipc t1, 0; jr t1");
  EXPECT_EQ(llvm_.text(*far_call(kAt, kAt)), "auipc t0, 0; jalr t0, t0");
  EXPECT_EQ(llvm_.text(*far_jump(kAt, kAt + 4098)), "auipc t1, 1; jr 2(t1)");
  EXPECT_EQ(llvm_.text(*far_call(kAt, kAt + 4094)), "auipc t0, 1; jalr t0, -2(t0)");
  check_far(far_jump, 2);
  check_far(far_call, 2);
}

TEST_F(RiscV64, AddressOfAnyByteWithin2GiB) {
  const auto encode = [](TargetAddress at, TargetAddress to) -> base::Result<Code<8>> {
    const auto upper = auipc(at, Register::kT0, to);
    if (!upper) return upper.error();
    const auto lower = addi(Register::kT0, Register::kT1, low_part(at, to));
    Code<8> code;
    std::copy(lower->begin(), lower->end(), std::copy(upper->begin(), upper->end(), code.begin()));
    return code;
  };
  EXPECT_EQ(llvm_.text(*encode(kAt, kAt + 2049)), "auipc t0, 1; addi t0, t1, -2047");
  check_far(encode, 1);
}

TEST_F(RiscV64, OffsetsHaveTwelveBits) {
  for (std::int32_t offset = -2048; offset <= 2047; ++offset) {
    const std::string number = std::to_string(offset);
    ASSERT_EQ(llvm_.text(*ld(Register::kT1, Register::kT0, offset)), "ld t1, " + number + "(t0)");
    if (offset == 0) continue;  // has other texts
    ASSERT_EQ(llvm_.text(*addi(Register::kT1, Register::kT0, offset)), "addi t1, t0, " + number);
    ASSERT_EQ(llvm_.text(*jalr(Register::kT1, Register::kT0, offset)), "jalr t1, " + number + "(t0)");
  }
  for (const std::int32_t offset : {-2049, 2048, INT32_MIN, INT32_MAX}) {
    EXPECT_EQ(ld(Register::kT1, Register::kT0, offset).error().code, ErrorCode::kOutOfReach);
    EXPECT_EQ(addi(Register::kT1, Register::kT0, offset).error().code, ErrorCode::kOutOfReach);
    EXPECT_EQ(jalr(Register::kT1, Register::kT0, offset).error().code, ErrorCode::kOutOfReach);
  }
}

TEST_F(RiscV64, RegistersAreInTheirPlaces) {
  for (unsigned n = 1; n < 32; ++n) {
    const std::string name = kNames[n], other = kNames[n == 31 ? 1 : 32 - n];
    const Register second = reg(n == 31 ? 1 : 32 - n);
    EXPECT_EQ(llvm_.text(*ld(reg(n), second, 8)), "ld " + name + ", 8(" + other + ")");
    EXPECT_EQ(llvm_.text(*addi(reg(n), second, 8)), "addi " + name + ", " + other + ", 8");
    EXPECT_EQ(llvm_.text(*auipc(kAt, reg(n), kAt + 4096)), "auipc " + name + ", 1");
    if (n == 1) continue;  // "ret", "jal", "jalr": other texts
    EXPECT_EQ(llvm_.text(c_jr(reg(n))), "jr " + name);
    EXPECT_EQ(llvm_.text(jr(reg(n))), "jr " + name);
    EXPECT_EQ(llvm_.text(*jal(kAt, reg(n), kAt + 8)), "jal " + name + ", 8");
    EXPECT_EQ(llvm_.text(*jalr(reg(n), second, 8)), "jalr " + name + ", 8(" + other + ")");
  }
}

TEST_F(RiscV64, WithoutOperands) {
  EXPECT_EQ(llvm_.text(c_nop()), "nop");
  EXPECT_EQ(llvm_.text(nop()), "nop");
  EXPECT_EQ(llvm_.text(c_ebreak()), "ebreak");
}

TEST_F(RiscV64, CallStubFindsTheRecordFromT0) {
  EXPECT_EQ(llvm_.text(call_stub()), "ld t1, -16(t0); ld t1, 0(t1); jr t1; nop");
}

TEST_F(RiscV64, StubLoadsTheRecordAndJumpsThroughIt) {
  const auto code = stub(kAt, kAt + 0x123ff8, 0x18);
  ASSERT_TRUE(code.ok());
  EXPECT_EQ(llvm_.text(*code), "auipc t0, 292; addi t0, t0, -8; ld t1, 24(t0); jr t1");
  expect_error(stub(kAt, kAt + (kLastFar + 1), 0), ErrorCode::kOutOfReach, kAt);
  EXPECT_TRUE(stub(kAt, kAt + kLastFar, 0).ok());
  EXPECT_TRUE(stub(kAt, kAt + kFirstFar, 2047).ok());
  EXPECT_EQ(stub(kAt, kAt, 2048).error().code, ErrorCode::kOutOfReach);
}

TEST_F(RiscV64, IslandJumpsAnywhere) {
  const TargetAddress to(0xfedcba9876543210);
  const auto code = island(kAt + 8, to);
  ASSERT_TRUE(code.ok());
  EXPECT_EQ(llvm_.text(std::span(*code).first(kIslandLiteral)),
            "auipc t1, 0; ld t1, 16(t1); jr t1; ebreak; ebreak; ebreak");
  const auto pointer = literal(to.value);
  EXPECT_TRUE(std::equal(pointer.begin(), pointer.end(), code->begin() + kIslandLiteral));
  EXPECT_EQ(pointer[0], 0x10);
  EXPECT_EQ(pointer[7], 0xfe);
  expect_error(island(kAt + 4, to), ErrorCode::kMisaligned, kAt + 4);
  expect_error(island(kAt, to + 1), ErrorCode::kMisaligned, kAt);
}

// The other half of the instruction is one that changes something, so it shows whether it was looked at.
TEST_F(RiscV64, NopsAmongAllHalfwords) {
  unsigned nops = 0;
  for (std::uint32_t halfword = 0; halfword < 65536; ++halfword) {
    const std::array<std::uint8_t, 4> code = {static_cast<std::uint8_t>(halfword),
                                              static_cast<std::uint8_t>(halfword >> 8), 0, 0x01};
    const auto got = llvm_.one(code);
    ASSERT_EQ(nop_length(code), got.text == "nop" ? got.length : 0u) << got.text;
    nops += got.text == "nop" ? 1 : 0;
  }
  EXPECT_EQ(nops, 1u);
}

TEST(RiscV64Decode, Calls) {
  for (const std::int64_t offset : {2L, -2L, 2048L, 4094L, 0xffffeL, -0x100000L}) {
    EXPECT_EQ(call_offset(*jal(kAt, Register::kRa, kAt + offset)), offset);
    EXPECT_EQ(call_offset(*jal(kAt, Register::kZero, kAt + offset)), 0) << "no call";
  }
  for (const std::int64_t offset : {2L, -2L, 2047L, 2048L, 0x12345678L, -0x12345678L}) {
    const auto to = kAt + offset;
    Code<8> code;
    std::ranges::copy(*auipc(kAt, Register::kRa, to), code.begin());
    std::ranges::copy(*jalr(Register::kRa, Register::kRa, low_part(kAt, to)), code.begin() + 4);
    EXPECT_EQ(call_offset(code), offset);
    EXPECT_EQ(call_offset(std::span(code).first(7)), 0) << "cut off";
    std::ranges::copy(*jalr(Register::kZero, Register::kRa, low_part(kAt, to)), code.begin() + 4);
    EXPECT_EQ(call_offset(code), 0) << "no call";
  }
  EXPECT_EQ(call_offset(c_nop()), 0);
  EXPECT_EQ(instruction_length(c_nop()), 2u);
  EXPECT_EQ(instruction_length(nop()), 4u);
}

TEST(RiscV64Decode, WantsWholeInstructions) {
  EXPECT_EQ(nop_length({}), 0u);
  const Compressed short_nop = c_nop();
  const Instruction long_nop = nop();
  EXPECT_EQ(nop_length(std::span(short_nop).first(1)), 0u);
  EXPECT_EQ(nop_length(c_nop()), 2u);
  EXPECT_EQ(nop_length(nop()), 4u);
  for (std::size_t size = 0; size < 4; ++size) EXPECT_EQ(nop_length(std::span(long_nop).first(size)), 0u);
  for (unsigned bit = 0; bit < 32; ++bit) {
    Instruction code = nop();
    code[bit / 8] ^= static_cast<std::uint8_t>(1 << bit % 8);
    EXPECT_EQ(nop_length(code), 0u) << bit;
  }
}

std::uint32_t word(std::span<const std::uint8_t> code) { return word_at(code, 0, code.size()); }

TEST(RiscV64SledForms, AreWhatTheEncodersMake) {
  using namespace sled_patterns;
  EXPECT_TRUE(kCNop.matches(word(c_nop())));
  EXPECT_TRUE(kNop.matches(word(nop())));
  for (const std::int64_t distance : {-2048, -8, 0, 2046}) {
    const TargetAddress to = kAt + distance;
    EXPECT_TRUE(kCJ.matches(word(*c_j(kAt, to))));
    EXPECT_TRUE(kJ.matches(word(*jal(kAt, Register::kZero, to))));
    EXPECT_FALSE(kJ.matches(word(*jal(kAt, Register::kT0, to))));
    const auto jump = *far_jump(kAt, to), call = *far_call(kAt, to);
    EXPECT_TRUE(kAuipcT1.matches(word(std::span(jump).first(4))));
    EXPECT_TRUE(kJumpT1.matches(word(std::span(jump).last(4))));
    EXPECT_TRUE(kAuipcT0.matches(word(std::span(call).first(4))));
    EXPECT_TRUE(kCallT0.matches(word(std::span(call).last(4))));
    EXPECT_FALSE(kCallT0.matches(word(std::span(jump).last(4))));
  }
}

TEST(RiscV64SledForms, OneAlignedStoreSwitchesThem) {
  for (const Sled& sled : kSleds) {
    unsigned changing = 0;
    for (std::size_t i = 0; i < sled.count; ++i) {
      changing += sled.words[i].prepared == sled.words[i].on ? 0u : 1u;
    }
    EXPECT_EQ(changing, 1u) << sled.notation;
    EXPECT_EQ(sled.switch_offset() % sled.words[sled.count - 1].bytes, 0u);
    EXPECT_EQ(find_sled(sled.form, sled.first_nop_bytes), &sled);
  }
  EXPECT_EQ(find_sled(SledForm::kJump, 2)->length(), 2u);
  EXPECT_EQ(find_sled(SledForm::kJump, 2)->switch_offset(), 0u);
  EXPECT_EQ(find_sled(SledForm::kFarJump, 2)->length(), 8u);
  EXPECT_EQ(find_sled(SledForm::kCall, 4)->switch_offset(), 4u);
  EXPECT_EQ(find_sled(SledForm::kNone, 2), nullptr);
  EXPECT_EQ(find_sled(SledForm::kJump, 0), nullptr);
}

// From off to on by the changes that the table allows, each the encoders' own bytes.
TEST(RiscV64SledForms, StatesOfASite) {
  const auto jump = *far_jump(kAt, kAt + 0x12345678), call = *far_call(kAt, kAt - 0x12345678);
  for (const unsigned bytes : {2U, 4U}) {
    SCOPED_TRACE(bytes);
    std::array<std::uint8_t, 8> off;
    for (std::size_t at = 0; at < 8; at += bytes) {
      if (bytes == 2) std::ranges::copy(c_nop(), off.begin() + at);
      if (bytes == 4) std::ranges::copy(nop(), off.begin() + at);
    }
    for (const auto& [form, on] : {std::pair(SledForm::kFarJump, jump), {SledForm::kCall, call}}) {
      const Sled& sled = *find_sled(form, bytes);
      auto code = off;
      EXPECT_EQ(state_of(sled, code), SledState::kOff);
      std::copy_n(on.begin(), 4, code.begin());
      EXPECT_EQ(state_of(sled, code), bytes == 2 ? SledState::kForeign : SledState::kPrepared);
      std::ranges::copy(nop(), code.begin() + 4);
      EXPECT_EQ(state_of(sled, code), SledState::kPrepared);
      std::copy_n(on.begin() + 4, 4, code.begin() + 4);
      EXPECT_EQ(state_of(sled, code), SledState::kOn);
      EXPECT_EQ(
          state_of(*find_sled(form == SledForm::kCall ? SledForm::kFarJump : SledForm::kCall, bytes), code),
          SledState::kForeign);
    }
    EXPECT_EQ(state_of(*find_sled(SledForm::kJump, bytes), off), SledState::kOff);
  }
  EXPECT_EQ(state_of(*find_sled(SledForm::kJump, 2), *c_j(kAt, kAt - 8)), SledState::kOn);
  EXPECT_EQ(state_of(*find_sled(SledForm::kJump, 4), *jal(kAt, Register::kZero, kAt - 8)), SledState::kOn);
  EXPECT_EQ(state_of(*find_sled(SledForm::kJump, 4), *c_j(kAt, kAt - 8)), SledState::kForeign) << "too short";
}

}  // namespace
}  // namespace calltap::isa::riscv64
