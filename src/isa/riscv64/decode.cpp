#include "isa/riscv64/decode.h"

#include <algorithm>

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

}  // namespace calltap::isa::riscv64
