#include "isa/aarch64/decode.h"

#include <algorithm>

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

}  // namespace calltap::isa::aarch64
