#include "isa/x86_64/encode.h"

#include <algorithm>
#include <limits>

namespace calltap::isa::x86_64 {
namespace {

using base::TargetAddress;

/// Opcode bytes followed by the distance from the instruction's end to `to`, little-endian, in what room is
/// left.
template <class Displacement, std::size_t kBytes, std::size_t kOpcodeBytes>
base::Result<Code<kBytes>> relative(const std::uint8_t (&opcode)[kOpcodeBytes], TargetAddress at,
                                    TargetAddress to) {
  static_assert(kOpcodeBytes + sizeof(Displacement) == kBytes);
  const std::int64_t distance = to - (at + std::int64_t{kBytes});
  if (distance < std::numeric_limits<Displacement>::min() ||
      distance > std::numeric_limits<Displacement>::max()) {
    return base::Error(base::ErrorCode::kOutOfReach, 0, at.value);
  }
  Code<kBytes> code{};
  std::copy_n(opcode, kOpcodeBytes, code.begin());
  for (std::size_t i = 0; i < sizeof(Displacement); ++i) {
    code[kOpcodeBytes + i] = static_cast<std::uint8_t>(distance >> (8 * i));
  }
  return code;
}

}  // namespace

base::Result<Code<kJmpRel8Bytes>> jmp_rel8(TargetAddress at, TargetAddress to) {
  return relative<std::int8_t, kJmpRel8Bytes>({kJmpRel8}, at, to);
}

base::Result<Code<kJmpRel32Bytes>> jmp_rel32(TargetAddress at, TargetAddress to) {
  return relative<std::int32_t, kJmpRel32Bytes>({kJmpRel32}, at, to);
}

base::Result<Code<5>> call_rel32(TargetAddress at, TargetAddress to) {
  return relative<std::int32_t, 5>({0xe8}, at, to);
}

base::Result<Code<6>> jmp_through(TargetAddress at, TargetAddress slot) {
  return relative<std::int32_t, 6>({0xff, 0x25}, at, slot);
}

base::Result<Code<7>> lea_r11(TargetAddress at, TargetAddress data) {
  return relative<std::int32_t, 7>({0x4c, 0x8d, 0x1d}, at, data);
}

Code<4> jmp_through_r11(std::int8_t offset) { return {0x41, 0xff, 0x63, static_cast<std::uint8_t>(offset)}; }

std::span<const std::uint8_t> nop(std::size_t length) {
  constexpr std::size_t kLongest = 9;
  static constexpr std::uint8_t kNops[kLongest][kLongest] = {
      {0x90},
      {0x66, 0x90},
      {0x0f, 0x1f, 0x00},
      {0x0f, 0x1f, 0x40, 0x00},
      {0x0f, 0x1f, 0x44, 0x00, 0x00},
      {0x66, 0x0f, 0x1f, 0x44, 0x00, 0x00},
      {0x0f, 0x1f, 0x80, 0x00, 0x00, 0x00, 0x00},
      {0x0f, 0x1f, 0x84, 0x00, 0x00, 0x00, 0x00, 0x00},
      {0x66, 0x0f, 0x1f, 0x84, 0x00, 0x00, 0x00, 0x00, 0x00},
  };
  if (length == 0 || length > kLongest) return {};
  return std::span(kNops[length - 1]).first(length);
}

base::Result<Code<kStubBytes>> stub(TargetAddress at, TargetAddress record, std::int8_t target_offset) {
  const auto load = lea_r11(at, record);
  if (!load) return load.error();
  const Code<4> jump = jmp_through_r11(target_offset);
  Code<kStubBytes> code;
  code.fill(kInt3);
  std::copy(jump.begin(), jump.end(), std::copy(load->begin(), load->end(), code.begin()));
  return code;
}

base::Result<Code<kPadStubBytes>> pad_stub(TargetAddress record) {
  if (record.value > ~std::uint32_t{0}) return base::Error(base::ErrorCode::kOutOfReach, 0, record.value);
  Code<kPadStubBytes> code = {0x41, 0xbb, 0, 0, 0, 0, 0x41, 0xff, 0x23};
  const auto address = static_cast<std::uint32_t>(record.value);
  for (unsigned i = 0; i < 4; ++i) code[2 + i] = static_cast<std::uint8_t>(address >> (8 * i));
  return code;
}

}  // namespace calltap::isa::x86_64
