#include "isa/riscv64/encode.h"

#include <algorithm>

namespace calltap::isa::riscv64 {
namespace {

using base::ErrorCode;
using base::TargetAddress;

// Instructions with all their operands zero. Register fields: rd from bit 7, rs1 from bit 15.
constexpr std::uint32_t kAuipc = 0x00000017;  // + rd, imm20 from bit 12
constexpr std::uint32_t kJal = 0x0000006f;    // + rd, scattered imm20
constexpr std::uint32_t kJalr = 0x00000067;   // + rd, rs1, imm12 from bit 20
constexpr std::uint32_t kAddi = 0x00000013;   // + rd, rs1, imm12 from bit 20; all zero is NOP
constexpr std::uint32_t kLd = 0x00003003;     // + rd, rs1, imm12 from bit 20
constexpr std::uint16_t kCNop = 0x0001;
constexpr std::uint16_t kCJ = 0xa001;   // + scattered imm11
constexpr std::uint16_t kCJr = 0x8002;  // + rs1 from bit 7
constexpr std::uint16_t kCEbreak = 0x9002;

constexpr std::uint32_t rd_field(Register reg) { return static_cast<std::uint32_t>(reg) << 7; }
constexpr std::uint32_t rs1_field(Register reg) { return static_cast<std::uint32_t>(reg) << 15; }

Compressed compressed(std::uint32_t halfword) {
  return {static_cast<std::uint8_t>(halfword), static_cast<std::uint8_t>(halfword >> 8)};
}

Instruction instruction(std::uint32_t word) {
  Instruction code;
  for (std::size_t i = 0; i < code.size(); ++i) code[i] = static_cast<std::uint8_t>(word >> (8 * i));
  return code;
}

template <std::size_t kBytes, class... Parts>
Code<kBytes> join(const Parts&... parts) {
  static_assert((std::tuple_size_v<Parts> + ...) == kBytes);
  Code<kBytes> code;
  auto* end = code.begin();
  ((end = std::copy(parts.begin(), parts.end(), end)), ...);
  return code;
}

constexpr bool is_even(TargetAddress at) { return at.value % 2 == 0; }

/// The distance as a two's complement field of `bits` bits, of which the lowest is 0.
base::Result<std::uint32_t> jump_field(TargetAddress at, TargetAddress to, unsigned bits) {
  if (!is_even(at) || !is_even(to)) return base::Error(ErrorCode::kMisaligned, 0, at.value);
  const std::int64_t distance = to - at;
  const std::int64_t limit = std::int64_t{1} << (bits - 1);
  if (distance < -limit || distance >= limit) return base::Error(ErrorCode::kOutOfReach, 0, at.value);
  return static_cast<std::uint32_t>(distance) & ((1U << bits) - 1);
}

/// `count` bits of `value` from bit `from` on, moved to bit `to`.
constexpr std::uint32_t bits(std::uint32_t value, unsigned from, unsigned count, unsigned to) {
  return (value >> from & ((1U << count) - 1)) << to;
}

/// Instructions with a register, a base and a 12-bit offset.
base::Result<Instruction> with_offset(std::uint32_t opcode, Register reg, Register from,
                                      std::int32_t offset) {
  if (offset < -2048 || offset > 2047) return ErrorCode::kOutOfReach;
  return instruction(opcode | static_cast<std::uint32_t>(offset) << 20 | rs1_field(from) | rd_field(reg));
}

base::Result<Code<kFarBytes>> far(TargetAddress at, Register link, Register scratch, TargetAddress to) {
  if (!is_even(to)) return base::Error(ErrorCode::kMisaligned, 0, at.value);
  const auto upper = auipc(at, scratch, to);
  if (!upper) return upper.error();
  return join<kFarBytes>(*upper, *jalr(link, scratch, low_part(at, to)));
}

}  // namespace

Compressed c_nop() { return compressed(kCNop); }
Instruction nop() { return instruction(kAddi); }
Compressed c_ebreak() { return compressed(kCEbreak); }
Compressed c_jr(Register to) { return compressed(kCJr | rd_field(to)); }
Instruction jr(Register to) { return instruction(kJalr | rs1_field(to)); }

base::Result<Compressed> c_j(TargetAddress at, TargetAddress to) {
  const auto distance = jump_field(at, to, 12);
  if (!distance) return distance.error();
  const std::uint32_t d = *distance;
  return compressed(kCJ | bits(d, 11, 1, 12) | bits(d, 4, 1, 11) | bits(d, 8, 2, 9) | bits(d, 10, 1, 8) |
                    bits(d, 6, 1, 7) | bits(d, 7, 1, 6) | bits(d, 1, 3, 3) | bits(d, 5, 1, 2));
}

base::Result<Instruction> jal(TargetAddress at, Register link, TargetAddress to) {
  const auto distance = jump_field(at, to, 21);
  if (!distance) return distance.error();
  const std::uint32_t d = *distance;
  return instruction(kJal | rd_field(link) | bits(d, 20, 1, 31) | bits(d, 1, 10, 21) | bits(d, 11, 1, 20) |
                     bits(d, 12, 8, 12));
}

base::Result<Instruction> auipc(TargetAddress at, Register reg, TargetAddress to) {
  if (!is_even(at)) return base::Error(ErrorCode::kMisaligned, 0, at.value);
  const std::int64_t distance = to - at;
  constexpr std::int64_t kLimit = (std::int64_t{1} << 31) - 0x800;
  if (distance < -kLimit - 0x1000 || distance >= kLimit) {
    return base::Error(ErrorCode::kOutOfReach, 0, at.value);
  }
  // What is left for the next instruction is negative half of the time.
  const std::int64_t upper = (distance + 0x800) >> 12;
  return instruction(kAuipc | static_cast<std::uint32_t>(upper) << 12 | rd_field(reg));
}

std::int32_t low_part(TargetAddress at, TargetAddress to) {
  const auto low = static_cast<std::int32_t>((to - at) & 0xfff);
  return low < 0x800 ? low : low - 0x1000;
}

base::Result<Instruction> addi(Register reg, Register from, std::int32_t offset) {
  return with_offset(kAddi, reg, from, offset);
}
base::Result<Instruction> ld(Register reg, Register from, std::int32_t offset) {
  return with_offset(kLd, reg, from, offset);
}
base::Result<Instruction> jalr(Register link, Register through, std::int32_t offset) {
  return with_offset(kJalr, link, through, offset);
}

Code<kLiteralBytes> literal(std::uint64_t value) {
  Code<kLiteralBytes> bytes;
  for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::uint8_t>(value >> (8 * i));
  return bytes;
}

base::Result<Code<kFarBytes>> far_jump(TargetAddress at, TargetAddress to) {
  return far(at, Register::kZero, Register::kT1, to);
}
base::Result<Code<kFarBytes>> far_call(TargetAddress at, TargetAddress to) {
  return far(at, Register::kT0, Register::kT0, to);
}

base::Result<Code<kStubBytes>> stub(TargetAddress at, TargetAddress record, std::int32_t handler_offset) {
  const auto upper = auipc(at, Register::kT0, record);
  if (!upper) return upper.error();
  const auto load_handler = ld(Register::kT1, Register::kT0, handler_offset);
  if (!load_handler) return load_handler.error();
  return join<kStubBytes>(*upper, *addi(Register::kT0, Register::kT0, low_part(at, record)), *load_handler,
                          jr(Register::kT1));
}

Code<kStubBytes> call_stub() {
  constexpr std::int32_t kLiteral = -16;  // from the instruction behind the call
  return join<kStubBytes>(*ld(Register::kT1, Register::kT0, kLiteral), *ld(Register::kT1, Register::kT1, 0),
                          jr(Register::kT1), nop());
}

base::Result<Code<kIslandBytes>> island(TargetAddress at, TargetAddress to) {
  if (at.value % kLiteralBytes != 0 || !is_even(to)) return base::Error(ErrorCode::kMisaligned, 0, at.value);
  return join<kIslandBytes>(*auipc(at, Register::kT1, at), *ld(Register::kT1, Register::kT1, kIslandLiteral),
                            c_jr(Register::kT1), c_ebreak(), c_ebreak(), c_ebreak(), literal(to.value));
}

}  // namespace calltap::isa::riscv64
