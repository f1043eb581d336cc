#include "isa/riscv64/decode.h"

#include <algorithm>
#include <cstring>

#include "isa/riscv64/encode.h"

namespace calltap::isa::riscv64 {

unsigned nop_length(std::span<const std::uint8_t> code) {
  const auto starts_with = [code](const auto& instruction) {
    return code.size() >= instruction.size() &&
           std::equal(instruction.begin(), instruction.end(), code.begin());
  };
  if (starts_with(c_nop())) return static_cast<unsigned>(kCompressedBytes);
  return starts_with(nop()) ? static_cast<unsigned>(kInstructionBytes) : 0;
}

unsigned instruction_length(std::span<const std::uint8_t> code) {
  const bool compressed = code.empty() || (code[0] & 3) != 3;
  return static_cast<unsigned>(compressed ? kCompressedBytes : kInstructionBytes);
}

std::int64_t call_offset(std::span<const std::uint8_t> code) {
  constexpr std::uint32_t kJalRa = 0x0ef, kAuipcRa = 0x097, kOpcodeAndRd = 0xfff;
  constexpr std::uint32_t kJalrRaRa = 0x080e7, kOpcodeToRs1 = 0xfffff;
  std::uint32_t word = 0, second = 0;
  if (code.size() < sizeof word) return 0;
  std::memcpy(&word, code.data(), sizeof word);
  if ((word & kOpcodeAndRd) == kJalRa) {  // imm[20|10:1|11|19:12]
    const auto top = static_cast<std::int32_t>(word & 0x80000000) >> 11;
    return top | static_cast<std::int32_t>((word & 0xff000) | (word >> 9 & 0x800) | (word >> 20 & 0x7fe));
  }
  if ((word & kOpcodeAndRd) != kAuipcRa || code.size() < 2 * sizeof word) return 0;
  std::memcpy(&second, code.data() + sizeof word, sizeof second);
  if ((second & kOpcodeToRs1) != kJalrRaRa) return 0;
  const auto upper = static_cast<std::int32_t>(word & ~kOpcodeAndRd);
  return std::int64_t{upper} + (static_cast<std::int32_t>(second) >> 20);
}

}  // namespace calltap::isa::riscv64
