#include "isa/aarch64/encode.h"

#include <algorithm>

namespace calltap::isa::aarch64 {
namespace {

using base::ErrorCode;
using base::TargetAddress;

constexpr std::uint64_t kPageBytes = 4096;

// Instructions with all their operands zero. Register fields: rd or rt from bit 0, rn from bit 5.
constexpr std::uint32_t kNop = 0xd503201f;
constexpr std::uint32_t kBti = 0xd503241f;           // + Landing << 6
constexpr std::uint32_t kMov = 0xaa0003e0;           // ORR rd, xzr, rm; rm from bit 16
constexpr std::uint32_t kBr = 0xd61f0000;            // + rn
constexpr std::uint32_t kBlr = 0xd63f0000;           // + rn
constexpr std::uint32_t kRet = 0xd65f0000;           // + rn
constexpr std::uint32_t kB = 0x14000000;             // + imm26
constexpr std::uint32_t kBl = 0x94000000;            // + imm26
constexpr std::uint32_t kAdr = 0x10000000;           // + rd, immlo from bit 29, immhi from bit 5
constexpr std::uint32_t kAdrp = 0x90000000;          // the same, in pages
constexpr std::uint32_t kAddImmediate = 0x91000000;  // + rd, rn, imm12 from bit 10
constexpr std::uint32_t kLdrLiteral = 0x58000000;    // + rt, imm19 from bit 5
constexpr std::uint32_t kLdrUnsigned = 0xf9400000;   // + rt, rn, imm12 from bit 10, in units of 8

constexpr std::uint32_t low_field(Register reg) { return static_cast<std::uint32_t>(reg); }
constexpr std::uint32_t rn_field(Register reg) { return low_field(reg) << 5; }

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

constexpr bool is_aligned(TargetAddress at) { return at.value % kInstructionBytes == 0; }

/// distance / unit as a two's complement field of `bits` bits.
base::Result<std::uint32_t> field(TargetAddress at, std::int64_t distance, std::int64_t unit, unsigned bits) {
  if (!is_aligned(at) || distance % unit != 0) return base::Error(ErrorCode::kMisaligned, 0, at.value);
  const std::int64_t count = distance / unit;
  const std::int64_t limit = std::int64_t{1} << (bits - 1);
  if (count < -limit || count >= limit) return base::Error(ErrorCode::kOutOfReach, 0, at.value);
  return static_cast<std::uint32_t>(count) & ((1U << bits) - 1);
}

base::Result<Instruction> branch(std::uint32_t opcode, TargetAddress at, TargetAddress to) {
  const auto imm26 = field(at, to - at, kInstructionBytes, 26);
  if (!imm26) return imm26.error();
  return instruction(opcode | *imm26);
}

/// ADR and ADRP, whose operand has its lowest two bits elsewhere.
base::Result<Instruction> address(std::uint32_t opcode, TargetAddress at, Register reg, std::int64_t distance,
                                  std::int64_t unit) {
  const auto imm21 = field(at, distance, unit, 21);
  if (!imm21) return imm21.error();
  return instruction(opcode | (*imm21 & 3) << 29 | (*imm21 >> 2) << 5 | low_field(reg));
}

}  // namespace

Instruction nop() { return instruction(kNop); }
Instruction bti(Landing landing) { return instruction(kBti | static_cast<std::uint32_t>(landing) << 6); }
Instruction mov(Register to, Register from) {
  return instruction(kMov | low_field(from) << 16 | low_field(to));
}
Instruction br(Register to) { return instruction(kBr | rn_field(to)); }
Instruction blr(Register to) { return instruction(kBlr | rn_field(to)); }
Instruction ret() { return instruction(kRet | rn_field(Register::kLink)); }

base::Result<Instruction> b(TargetAddress at, TargetAddress to) { return branch(kB, at, to); }
base::Result<Instruction> bl(TargetAddress at, TargetAddress to) { return branch(kBl, at, to); }

base::Result<Instruction> adr(TargetAddress at, Register reg, TargetAddress data) {
  return address(kAdr, at, reg, data - at, 1);
}

base::Result<Code<8>> adrp_add(TargetAddress at, Register reg, TargetAddress data) {
  const auto in_page = static_cast<std::uint32_t>(data.value % kPageBytes);
  const TargetAddress page(data.value - in_page);
  const TargetAddress own_page(at.value - at.value % kPageBytes);
  const auto adrp = address(kAdrp, at, reg, page - own_page, kPageBytes);
  if (!adrp) return adrp.error();
  return join<8>(*adrp, instruction(kAddImmediate | in_page << 10 | rn_field(reg) | low_field(reg)));
}

base::Result<Instruction> ldr_literal(TargetAddress at, Register reg, TargetAddress literal) {
  const auto imm19 = field(at, literal - at, kInstructionBytes, 19);
  if (!imm19) return imm19.error();
  return instruction(kLdrLiteral | *imm19 << 5 | low_field(reg));
}

base::Result<Instruction> ldr(Register reg, Register from, std::uint32_t offset) {
  if (offset % kLiteralBytes != 0) return ErrorCode::kMisaligned;
  const std::uint32_t imm12 = offset / kLiteralBytes;
  if (imm12 >= 1U << 12) return ErrorCode::kOutOfReach;
  return instruction(kLdrUnsigned | imm12 << 10 | rn_field(from) | low_field(reg));
}

Code<kLiteralBytes> literal(std::uint64_t value) {
  Code<kLiteralBytes> bytes;
  for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::uint8_t>(value >> (8 * i));
  return bytes;
}

base::Result<Code<kStubBytes>> stub(TargetAddress at, TargetAddress record, std::uint32_t handler_offset) {
  const auto load_record = adrp_add(at, Register::kX17, record);
  if (!load_record) return load_record.error();
  const auto load_handler = ldr(Register::kX16, Register::kX17, handler_offset);
  if (!load_handler) return load_handler.error();
  return join<kStubBytes>(*load_record, *load_handler, br(Register::kX16));
}

Code<kStubBytes> call_stub() {
  constexpr std::uint32_t kRoundDown = 0x927df3d1;    // and x17, x30, #-8
  constexpr std::uint32_t kLoadLiteral = 0xf85f0231;  // ldur x17, [x17, #-16]
  return join<kStubBytes>(instruction(kRoundDown), instruction(kLoadLiteral),
                          *ldr(Register::kX16, Register::kX17, 0), br(Register::kX16));
}

base::Result<Code<kIslandBytes>> island(TargetAddress at, TargetAddress to) {
  if (!is_aligned(to)) return base::Error(ErrorCode::kMisaligned, 0, at.value);
  const auto load = ldr_literal(at, Register::kX16, at + kIslandLiteral);
  if (!load) return load.error();
  return join<kIslandBytes>(*load, br(Register::kX16), literal(to.value));
}

}  // namespace calltap::isa::aarch64
