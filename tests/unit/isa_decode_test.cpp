#include "isa/x86_64/decode.h"

#include <gtest/gtest.h>

#include <array>
#include <random>
#include <vector>

#include "x86_disassembler.h"

namespace calltap::isa::x86_64 {
namespace {

using test::hex_bytes;
using Bytes = std::vector<std::uint8_t>;

/// Length that Zydis gives to a NOP of our two kinds at the start of `code`, 0 for everything else.
unsigned zydis_nop_length(std::span<const std::uint8_t> code) {
  ZydisDecoder decoder;
  ZydisDecoderInit(&decoder, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
  ZydisDecodedInstruction instruction;
  if (!ZYAN_SUCCESS(
          ZydisDecoderDecodeInstruction(&decoder, nullptr, code.data(), code.size(), &instruction))) {
    return 0;
  }
  if (instruction.mnemonic != ZYDIS_MNEMONIC_NOP) return 0;
  for (unsigned i = 0; i < instruction.raw.prefix_count; ++i) {  // F2 and F3 are not for us, F3 90 is PAUSE
    if (instruction.raw.prefixes[i].value == 0xf2 || instruction.raw.prefixes[i].value == 0xf3) return 0;
  }
  const bool one_byte = instruction.opcode_map == ZYDIS_OPCODE_MAP_DEFAULT && instruction.opcode == 0x90;
  const bool long_form = instruction.opcode_map == ZYDIS_OPCODE_MAP_0F && instruction.opcode == 0x1f &&
                         (instruction.raw.modrm.reg & 7) == 0;
  return one_byte || long_form ? instruction.length : 0;
}

TEST(NopLength, EveryOperandOfTheLongNopAgreesWithZydis) {
  unsigned nops = 0;
  for (unsigned modrm = 0; modrm < 256; ++modrm) {
    for (unsigned sib = 0; sib < 256; ++sib) {
      const std::array<std::uint8_t, 9> code = {0x0f, 0x1f, static_cast<std::uint8_t>(modrm),
                                                static_cast<std::uint8_t>(sib)};
      const unsigned length = nop_length(code);
      ASSERT_EQ(length, zydis_nop_length(code)) << hex_bytes(code);
      nops += length != 0;
      for (unsigned cut = 0; cut < length; ++cut) {
        ASSERT_EQ(nop_length(std::span(code).first(cut)), 0u) << hex_bytes(code) << " cut to " << cut;
      }
    }
  }
  EXPECT_EQ(nops, 4u * 8 * 256);  // reg field /0, every mod and rm
}

TEST(NopLength, RandomBytesBehindPrefixesAgreeWithZydis) {
  constexpr std::uint8_t kLikely[] = {0x66, 0x66, 0x66, 0x2e, 0x3e, 0x26, 0x36, 0x64, 0x65, 0x67, 0xf0};
  std::mt19937 random(1);
  unsigned nops = 0;
  for (unsigned round = 0; round < 2'000'000; ++round) {
    Bytes code;
    for (unsigned prefixes = random() % 14; prefixes > 0; --prefixes) {
      code.push_back(kLikely[random() % std::size(kLikely)]);
    }
    if (random() % 4 == 0) code.push_back(static_cast<std::uint8_t>(0x40 | (random() & 15)));
    switch (random() % 4) {
      case 0:
        code.push_back(0x90);
        break;
      case 1:
        code.push_back(static_cast<std::uint8_t>(random()));
        break;
      default:
        code.push_back(0x0f);
        code.push_back(0x1f);
        code.push_back(static_cast<std::uint8_t>(random() & (random() % 2 == 0 ? 0xff : 0xc7)));
    }
    while (code.size() < 20) code.push_back(static_cast<std::uint8_t>(random()));
    code.resize(random() % 20 + 1);

    const unsigned length = nop_length(code);
    ASSERT_EQ(length, zydis_nop_length(code)) << hex_bytes(code);
    nops += length != 0;
  }
  EXPECT_GT(nops, 300'000u);
}

TEST(NopLength, NotEverythingThatDecodesAsNopIsOne) {
  EXPECT_EQ(nop_length(Bytes{0xf3, 0x90}), 0u);              // pause
  EXPECT_EQ(nop_length(Bytes{0x41, 0x90}), 0u);              // xchg r8, rax
  EXPECT_EQ(nop_length(Bytes{0x48, 0x90}), 2u);              // REX.W alone changes nothing
  EXPECT_EQ(nop_length(Bytes{0xf0, 0x90}), 0u);              // lock: #UD
  EXPECT_EQ(nop_length(Bytes{0x0f, 0x1e, 0xc0}), 0u);        // reserved hint
  EXPECT_EQ(nop_length(Bytes{0x0f, 0x1f, 0x48, 0x00}), 0u);  // 0F 1F /1
  EXPECT_EQ(nop_length(Bytes{}), 0u);
}

TEST(NopLength, FifteenBytesAreTheLimit) {
  Bytes code(14, 0x66);
  code.push_back(0x90);
  EXPECT_EQ(nop_length(code), 15u);
  code.insert(code.begin(), 0x66);
  EXPECT_EQ(nop_length(code), 0u);
}

TEST(LandingPad, IsEndbr64Only) {
  EXPECT_TRUE(is_landing_pad(Bytes{0xf3, 0x0f, 0x1e, 0xfa, 0x90}));
  EXPECT_FALSE(is_landing_pad(Bytes{0xf3, 0x0f, 0x1e, 0xfb}));  // endbr32
  EXPECT_FALSE(is_landing_pad(Bytes{0xf3, 0x0f, 0x1e}));
  EXPECT_FALSE(is_landing_pad(Bytes{0x90, 0xf3, 0x0f, 0x1e, 0xfa}));
}

}  // namespace
}  // namespace calltap::isa::x86_64
