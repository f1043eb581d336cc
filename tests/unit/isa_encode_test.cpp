#include "isa/x86_64/encode.h"

#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <random>

#include "isa/x86_64/decode.h"
#include "x86_disassembler.h"

namespace calltap::isa::x86_64 {
namespace {

using base::ErrorCode;
using base::TargetAddress;
using test::disassemble;
using test::disassemble_one;
using test::Disassembled;
using test::hex_bytes;

constexpr std::int64_t kReach32 = std::int64_t{1} << 31;

/// `encode` must produce one instruction of its whole size with this mnemonic and target, for distances from
/// the instruction's end anywhere in reach, and refuse the first distance beyond on both sides.
template <class Encode>
void check_relative(Encode encode, ZydisMnemonic mnemonic, std::int64_t reach) {
  std::mt19937_64 random(7);
  const auto size = static_cast<std::int64_t>(encode(TargetAddress(0), TargetAddress(0))->size());
  for (int round = 0; round < 20000; ++round) {
    const TargetAddress at((random() >> 18) + (std::uint64_t{1} << 33));
    std::int64_t distance = static_cast<std::int64_t>(random()) % reach;
    if (round == 0) distance = reach - 1;
    if (round == 1) distance = -reach;
    const TargetAddress to = at + (size + distance);
    const auto code = encode(at, to);
    ASSERT_TRUE(code.ok()) << distance;
    const Disassembled got = disassemble_one(*code, at.value);
    ASSERT_EQ(got.mnemonic, mnemonic) << hex_bytes(*code);
    ASSERT_EQ(got.length, code->size()) << hex_bytes(*code);
    ASSERT_EQ(got.target, to.value) << hex_bytes(*code);
  }
  const TargetAddress at(0x7f0000001000);
  for (const std::int64_t distance : {reach, -reach - 1}) {
    const auto code = encode(at, at + (size + distance));
    EXPECT_EQ(code.error().code, ErrorCode::kOutOfReach) << distance;
    EXPECT_EQ(code.error().address, at.value);
  }
}

TEST(Encode, JmpRel8) { check_relative(jmp_rel8, ZYDIS_MNEMONIC_JMP, 128); }
TEST(Encode, JmpRel32) { check_relative(jmp_rel32, ZYDIS_MNEMONIC_JMP, kReach32); }
TEST(Encode, CallRel32) { check_relative(call_rel32, ZYDIS_MNEMONIC_CALL, kReach32); }
TEST(Encode, JmpThrough) { check_relative(jmp_through, ZYDIS_MNEMONIC_JMP, kReach32); }
TEST(Encode, LeaR11) {
  check_relative(lea_r11, ZYDIS_MNEMONIC_LEA, kReach32);
  EXPECT_EQ(disassemble_one(*lea_r11(TargetAddress(0x1000), TargetAddress(0x2000)), 0x1000).text,
            "lea r11, [0x0000000000002000]");
}

TEST(Encode, JmpThroughR11WithEveryOffset) {
  for (int offset = -128; offset < 128; ++offset) {
    const auto code = jmp_through_r11(static_cast<std::int8_t>(offset));
    const Disassembled got = disassemble_one(code, 0);
    char expected[64];
    snprintf(expected, sizeof expected, "jmp [r11%c0x%02x]", offset < 0 ? '-' : '+', std::abs(offset));
    if (offset == 0) snprintf(expected, sizeof expected, "jmp [r11]");
    EXPECT_EQ(got.length, code.size());
    EXPECT_EQ(got.mnemonic, ZYDIS_MNEMONIC_JMP);
    EXPECT_TRUE(got.touches_memory);
    EXPECT_EQ(got.text, expected);
  }
}

TEST(Encode, NopsAreOneInstructionOfTheirLength) {
  for (std::size_t length = 1; length <= 9; ++length) {
    const auto code = nop(length);
    ASSERT_EQ(code.size(), length);
    const Disassembled got = disassemble_one(code, 0);
    EXPECT_EQ(got.mnemonic, ZYDIS_MNEMONIC_NOP);
    EXPECT_EQ(got.length, length);
    EXPECT_EQ(nop_length(code), length);
  }
  EXPECT_TRUE(nop(0).empty());
  EXPECT_TRUE(nop(10).empty());
}

TEST(Encode, StubLoadsTheRecordAndJumpsThroughIt) {
  const TargetAddress at(0x7f1234560000);
  const TargetAddress record = at + 0x100000;
  const auto code = stub(at, record, 0x18);
  ASSERT_TRUE(code.ok());
  const auto got = disassemble(*code, at.value);
  ASSERT_EQ(got.size(), 2u + (kStubBytes - 11));
  EXPECT_EQ(got[0].mnemonic, ZYDIS_MNEMONIC_LEA);
  EXPECT_EQ(got[0].target, record.value);
  EXPECT_EQ(got[1].text, "jmp [r11+0x18]");
  for (std::size_t i = 2; i < got.size(); ++i) EXPECT_EQ(got[i].mnemonic, ZYDIS_MNEMONIC_INT3);
}

TEST(Encode, StubOutOfReachOfItsRecord) {
  const TargetAddress at(0x7f1234560000);
  EXPECT_TRUE(stub(at, at + (7 + kReach32 - 1), 0).ok());
  EXPECT_EQ(stub(at, at + (7 + kReach32), 0).error().code, ErrorCode::kOutOfReach);
}

TEST(Encode, PadStubNamesItsRecordBy32Bits) {
  for (const std::uint64_t record : {0x10000000u, 0x7ffffff0u, 0x80000000u, 0xffffffffu}) {
    const auto code = pad_stub(TargetAddress(record));
    ASSERT_TRUE(code.ok());
    const auto got = disassemble(*code, 0x7f1234560000);
    ASSERT_EQ(got.size(), 2u);
    char expected[64];
    snprintf(expected, sizeof expected, "mov r11d, 0x%08lx", record);
    EXPECT_EQ(got[0].text, expected);
    EXPECT_EQ(got[1].text, "jmp [r11]");
    EXPECT_EQ(got[0].length + got[1].length, code->size());
  }
  EXPECT_EQ(pad_stub(TargetAddress(0x100000000)).error().code, ErrorCode::kOutOfReach);
}

}  // namespace
}  // namespace calltap::isa::x86_64
