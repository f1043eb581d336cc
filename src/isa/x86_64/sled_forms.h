// The one table of sled forms: what a compiler leaves at a function entry, and which of its bytes may be
// changed one at a time while threads run through it. The planner, the patcher, `calltap list` and the tests
// all read it.
//
// Every form's first byte is the switch: off as in the table, on `EB` (jmp rel8) or `E9` (jmp rel32). What
// the jump has as its displacement are the bytes behind the first one, which is why it matters which of them
// are free:
//
//   fixed     opcode, prefix or ModRM: must stay, so the displacement must have this byte
//   operand   SIB or displacement of a NOP's memory operand: never accessed, may be anything
//   harmless  an instruction of its own: may be any of kHarmlessInstructions
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

namespace calltap::isa::x86_64 {

enum class SledForm : std::uint8_t {
  kNone,
  kOneByteNops,  // GCC
  kTwoByteNop,   // GCC and clang, two bytes at the entry
  kNopl44,       // clang and -mfentry, five bytes
  kNopl80,       // clang, seven
  kNopl84,       // clang, eight
  kNopw44,       // clang, six
  kNopw84,       // clang, nine
  kOtherNop,     // any other single NOP
  kCount
};

enum class ByteRule : std::uint8_t { kFixed, kOperand, kHarmless };

struct SledByte {
  std::uint8_t off;
  ByteRule rule;
};

inline constexpr std::size_t kLongestSled = 9;

struct Sled {
  SledForm form;
  std::string_view notation;  // as manuals write it
  std::uint8_t length;        // bytes that the form describes
  std::uint8_t instruction;   // bytes of the first instruction
  std::array<SledByte, kLongestSled> bytes;
};

/// One-byte instructions that change nothing but flags, which are dead at a function entry: NOP, CLC, STC,
/// CMC, and CLD, since the ABI has the direction flag clear there. All are the same behind an operand-size
/// prefix.
inline constexpr std::array<std::uint8_t, 5> kHarmlessInstructions = {0x90, 0xf8, 0xf9, 0xf5, 0xfc};

constexpr bool is_harmless_instruction(std::uint8_t byte) {
  return std::find(kHarmlessInstructions.begin(), kHarmlessInstructions.end(), byte) !=
         kHarmlessInstructions.end();
}

namespace sled_bytes {
constexpr SledByte fixed(std::uint8_t byte) { return {byte, ByteRule::kFixed}; }
inline constexpr SledByte kOperand = {0x00, ByteRule::kOperand};
inline constexpr SledByte kHarmless = {0x90, ByteRule::kHarmless};
}  // namespace sled_bytes

// clang-format off
inline constexpr std::array<Sled, 7> kSleds = [] {
  using sled_bytes::fixed;
  constexpr SledByte o = sled_bytes::kOperand;
  constexpr SledByte h = sled_bytes::kHarmless;
  return std::array<Sled, 7>{{
      {SledForm::kOneByteNops, "90 ...", 5, 1,
       {fixed(0x90), h, h, h, h}},
      {SledForm::kTwoByteNop, "66 90", 2, 2,
       {fixed(0x66), h}},
      {SledForm::kNopl44, "0F 1F 44 sib d8", 5, 5,
       {fixed(0x0f), fixed(0x1f), fixed(0x44), o, o}},
      {SledForm::kNopw44, "66 0F 1F 44 sib d8", 6, 6,
       {fixed(0x66), fixed(0x0f), fixed(0x1f), fixed(0x44), o, o}},
      {SledForm::kNopl80, "0F 1F 80 d32", 7, 7,
       {fixed(0x0f), fixed(0x1f), fixed(0x80), o, o, o, o}},
      {SledForm::kNopl84, "0F 1F 84 sib d32", 8, 8,
       {fixed(0x0f), fixed(0x1f), fixed(0x84), o, o, o, o, o}},
      {SledForm::kNopw84, "66 0F 1F 84 sib d32", 9, 9,
       {fixed(0x66), fixed(0x0f), fixed(0x1f), fixed(0x84), o, o, o, o, o}},
  }};
}();
// clang-format on

/// The table's row, nullptr for kNone and kOtherNop.
constexpr const Sled* find_sled(SledForm form) {
  for (const Sled& sled : kSleds) {
    if (sled.form == form) return &sled;
  }
  return nullptr;
}

/// True if `byte` may stand at this place while the site is off.
constexpr bool obeys(SledByte place, std::uint8_t byte) {
  switch (place.rule) {
    case ByteRule::kFixed:
      return byte == place.off;
    case ByteRule::kOperand:
      return true;
    case ByteRule::kHarmless:
      return is_harmless_instruction(byte);
  }
  return false;
}

/// How many bytes at the start of `code` follow the row, up to its length. A site that was prepared before
/// counts too.
constexpr std::size_t matching_bytes(const Sled& sled, std::span<const std::uint8_t> code) {
  const std::size_t limit = std::min<std::size_t>(sled.length, code.size());
  std::size_t count = 0;
  while (count < limit && obeys(sled.bytes[count], code[count])) ++count;
  return count;
}

/// The byte that a `jmp rel32` with this displacement has `offset` bytes behind its first one; offset 1 to 4.
constexpr std::uint8_t displacement_byte(std::int32_t displacement, std::size_t offset) {
  return static_cast<std::uint8_t>(static_cast<std::uint32_t>(displacement) >> (8 * (offset - 1)));
}

/// The pad's last five bytes hold `jmp rel32`, which starts here relative to the entry.
inline constexpr std::int64_t kPadJumpOffset = -5;

/// Where a stub in the pad starts: it fills the pad's last nine bytes.
inline constexpr std::int64_t kPadStubOffset = -9;

/// The d8 of the `EB d8` that goes from behind the landing pad to `offset` from the entry, if it is a
/// harmless instruction.
constexpr std::optional<std::uint8_t> pad_displacement(std::int64_t offset, unsigned landing_pad_bytes) {
  const std::int64_t distance = offset - std::int64_t{landing_pad_bytes} - 2;
  const auto byte = static_cast<std::uint8_t>(distance);
  if (distance < -128 || !is_harmless_instruction(byte)) return std::nullopt;
  return byte;
}
constexpr std::optional<std::uint8_t> pad_jump_displacement(unsigned landing_pad_bytes) {
  return pad_displacement(kPadJumpOffset, landing_pad_bytes);
}
static_assert(pad_jump_displacement(0) == 0xf9 && pad_jump_displacement(4) == 0xf5);
static_assert(pad_displacement(kPadStubOffset, 0) == 0xf5 && !pad_displacement(kPadStubOffset, 4));

}  // namespace calltap::isa::x86_64
