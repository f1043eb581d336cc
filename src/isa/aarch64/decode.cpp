#include "isa/aarch64/decode.h"

#include <algorithm>
#include <cstring>

#include "isa/aarch64/encode.h"

namespace calltap::isa::aarch64 {
namespace {

bool starts_with(std::span<const std::uint8_t> code, const Instruction& instruction) {
  return code.size() >= instruction.size() &&
         std::equal(instruction.begin(), instruction.end(), code.begin());
}

}  // namespace

unsigned nop_length(std::span<const std::uint8_t> code) {
  return starts_with(code, nop()) ? static_cast<unsigned>(kInstructionBytes) : 0;
}

bool is_landing_pad(std::span<const std::uint8_t> code) {
  return starts_with(code, bti(Landing::kCall)) || starts_with(code, bti(Landing::kBoth));
}

std::int64_t call_offset(std::span<const std::uint8_t> code) {
  constexpr std::uint32_t kBl = 0x94000000, kOpcode = 0xfc000000;
  std::uint32_t word = 0;
  if (code.size() < sizeof word) return 0;
  std::memcpy(&word, code.data(), sizeof word);
  if ((word & kOpcode) != kBl) return 0;
  const auto words = static_cast<std::int32_t>(word << 6) >> 6;
  return std::int64_t{words} * static_cast<std::int64_t>(sizeof word);
}

}  // namespace calltap::isa::aarch64
