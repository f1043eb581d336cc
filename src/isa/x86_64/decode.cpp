#include "isa/x86_64/decode.h"

#include <algorithm>
#include <array>
#include <cstddef>

namespace calltap::isa::x86_64 {
namespace {

constexpr std::size_t kMaxInstruction = 15;

/// Prefixes that leave a NOP a NOP: operand size, address size, segments. F2, F3 and F0 make other
/// instructions.
bool is_harmless_prefix(std::uint8_t byte) {
  constexpr std::array<std::uint8_t, 8> kPrefixes = {0x66, 0x67, 0x2e, 0x3e, 0x26, 0x36, 0x64, 0x65};
  return std::find(kPrefixes.begin(), kPrefixes.end(), byte) != kPrefixes.end();
}

/// Bytes of ModRM, SIB and displacement at the start of `code`, 0 if it is too short or the reg field is not
/// /0.
std::size_t operand_length(std::span<const std::uint8_t> code) {
  if (code.empty()) return 0;
  const unsigned mod = code[0] >> 6;
  const unsigned rm = code[0] & 7;
  if ((code[0] >> 3 & 7) != 0) return 0;

  std::size_t length = 1;
  if (mod == 3) return length;
  unsigned base = rm;
  if (rm == 4) {  // a SIB byte names the base
    if (code.size() < 2) return 0;
    base = code[1] & 7;
    ++length;
  }
  if (mod == 1) length += 1;
  if (mod == 2 || (mod == 0 && base == 5)) length += 4;  // base 5 without displacement means disp32 alone
  return length <= code.size() ? length : 0;
}

}  // namespace

unsigned nop_length(std::span<const std::uint8_t> code) {
  code = code.first(std::min(code.size(), kMaxInstruction));
  std::size_t at = 0;
  bool rex_b = false;
  for (; at < code.size(); ++at) {
    const bool rex = (code[at] & 0xf0) == 0x40;
    if (!rex && !is_harmless_prefix(code[at])) break;
    rex_b = rex && (code[at] & 1) != 0;  // a REX counts only right before the opcode
  }
  if (at < code.size() && code[at] == 0x90) return rex_b ? 0 : static_cast<unsigned>(at + 1);
  if (at + 2 > code.size() || code[at] != 0x0f || code[at + 1] != 0x1f) return 0;
  const std::size_t operand = operand_length(code.subspan(at + 2));
  return operand == 0 ? 0 : static_cast<unsigned>(at + 2 + operand);
}

bool is_landing_pad(std::span<const std::uint8_t> code) {
  constexpr std::array<std::uint8_t, kLandingPadBytes> kEndbr64 = {0xf3, 0x0f, 0x1e, 0xfa};
  return code.size() >= kEndbr64.size() && std::equal(kEndbr64.begin(), kEndbr64.end(), code.begin());
}

}  // namespace calltap::isa::x86_64
