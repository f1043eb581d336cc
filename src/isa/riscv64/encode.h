// Encode the few instructions that the patcher and the stubs are made of.
//
// Pure functions from target addresses to bytes: any thread, any signal context, every host. Where an operand
// is relative, `at` is the address of the instruction. Errors, with `at`: kOutOfReach if the distance does
// not fit; kMisaligned if `at`, or what is jumped to, is not even. Without the C extension both have to be
// multiples of 4, which is for the caller to see to.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "base/address.h"
#include "base/error.h"

namespace calltap::isa::riscv64 {

inline constexpr std::size_t kCompressedBytes = 2;
inline constexpr std::size_t kInstructionBytes = 4;
inline constexpr std::size_t kLiteralBytes = 8;

template <std::size_t kBytes>
using Code = std::array<std::uint8_t, kBytes>;
using Compressed = Code<kCompressedBytes>;
using Instruction = Code<kInstructionBytes>;

/// x0 to x31 by number; those with a name have a part to play here. Of all registers only t0 and t1 may be
/// lost at a function entry. A jump through t0 is a return to processors that predict returns, and a jump
/// that writes t0 is a call; so what jumps goes through t1, and what calls writes t0.
enum class Register : std::uint8_t {
  kZero = 0,
  kRa = 1,
  kT0 = 5,  // a stub's record; where the entry is a call, the way back
  kT1 = 6   // where a stub, an island or a pad jumps
};

Compressed c_nop();
Instruction nop();
/// C.EBREAK
Compressed c_ebreak();
/// C.JR to, any register but zero
Compressed c_jr(Register to);
/// JR to, as long as other instructions
Instruction jr(Register to);

/// C.J to: 2 KiB back, 2 bytes less forth.
base::Result<Compressed> c_j(base::TargetAddress at, base::TargetAddress to);
/// JAL link, to: 1 MiB back, 2 bytes less forth. A plain jump with `link` zero.
base::Result<Instruction> jal(base::TargetAddress at, Register link, base::TargetAddress to);

/// A distance is made of 20 bits that AUIPC adds and 12 bits with sign that the next instruction adds: 2 GiB
/// and 2 KiB back, 2 GiB less 2 KiB and a byte forth. `at` is the address of AUIPC in both.
/// AUIPC reg, upper part of the distance
base::Result<Instruction> auipc(base::TargetAddress at, Register reg, base::TargetAddress to);
/// The lower part, an offset for `ld`, `addi` or `jalr`.
std::int32_t low_part(base::TargetAddress at, base::TargetAddress to);

/// From -2048 to 2047. Errors are without an address.
base::Result<Instruction> addi(Register reg, Register from, std::int32_t offset);
/// LD reg, offset(from)
base::Result<Instruction> ld(Register reg, Register from, std::int32_t offset);
/// JALR link, offset(through)
base::Result<Instruction> jalr(Register link, Register through, std::int32_t offset);

/// The 8 bytes of a pointer in memory.
Code<kLiteralBytes> literal(std::uint64_t value);

inline constexpr std::size_t kFarBytes = 8;

/// A jump to what AUIPC reaches, for pads and entries; t1 is lost.
///
///     auipc  t1, upper
///     jr     lower(t1)
base::Result<Code<kFarBytes>> far_jump(base::TargetAddress at, base::TargetAddress to);
/// A call that leaves ra alone: the way back is in t0.
///
///     auipc  t0, upper
///     jalr   t0, lower(t0)
base::Result<Code<kFarBytes>> far_call(base::TargetAddress at, base::TargetAddress to);

inline constexpr std::size_t kStubBytes = 16;

/// The stub of one site, made once and never changed: loads the site's record and jumps through the pointer
/// at `record + handler_offset`, so that a live site gets other clients by one 8-byte store of data. The
/// handler has the record in t0.
///
///     auipc  t0, upper
///     addi   t0, t0, lower             to the record
///     ld     t1, handler_offset(t0)
///     jr     t1
base::Result<Code<kStubBytes>> stub(base::TargetAddress at, base::TargetAddress record,
                                    std::int32_t handler_offset);

/// The stub of a site with CALL_OPS: finds the literal before the entry, which is the record's address, from
/// t0, and jumps through the record's first word. The handler has t0 as it came.
///
///     ld    t1, -16(t0)
///     ld    t1, 0(t1)
///     jr    t1
///     nop
Code<kStubBytes> call_stub();

inline constexpr std::size_t kIslandBytes = 24;
inline constexpr std::size_t kIslandLiteral = 16;

/// A jump to anywhere, for what AUIPC does not reach; t1 is lost. `at` has to be a multiple of 8 for the
/// literal to be one, else kMisaligned; so one store to the literal leads the island elsewhere.
///
///     auipc  t1, 0
///     ld     t1, 16(t1)
///     c.jr   t1
///     c.ebreak x 3
///     .quad  to
base::Result<Code<kIslandBytes>> island(base::TargetAddress at, base::TargetAddress to);

}  // namespace calltap::isa::riscv64
