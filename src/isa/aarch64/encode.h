// Encode the few instructions that the patcher and the stubs are made of.
//
// Pure functions from target addresses to bytes: any thread, any signal context, every host. Where an operand
// is relative, `at` is the address of the instruction. Errors, with `at`: kOutOfReach if the distance does
// not fit; kMisaligned if `at` is no multiple of 4, or the other address none of what its operand counts in.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "base/address.h"
#include "base/error.h"

namespace calltap::isa::aarch64 {

inline constexpr std::size_t kInstructionBytes = 4;
inline constexpr std::size_t kLiteralBytes = 8;

template <std::size_t kBytes>
using Code = std::array<std::uint8_t, kBytes>;
using Instruction = Code<kInstructionBytes>;

/// x0 to x30 by number; those with a name have a part to play here. Of all registers only x16 and x17 may be
/// lost at a function entry, and x9 where a site is a call: compilers keep nothing in it there.
enum class Register : std::uint8_t {
  kX9 = 9,    // the parent, where the entry is MOV X9, LR and a call
  kX16 = 16,  // where a stub or an island jumps
  kX17 = 17,  // a stub's record
  kLink = 30
};

/// What may come to a landing pad: BLR, and BR through x16 or x17, need kCall; other BR need kJump.
enum class Landing : std::uint8_t { kNone, kCall, kJump, kBoth };

Instruction nop();
/// BTI, BTI C, BTI J, BTI JC
Instruction bti(Landing landing);
Instruction mov(Register to, Register from);
Instruction br(Register to);
Instruction blr(Register to);
/// RET x30
Instruction ret();

/// B to: 128 MiB back, 4 bytes less forth.
base::Result<Instruction> b(base::TargetAddress at, base::TargetAddress to);
/// BL to: the same.
base::Result<Instruction> bl(base::TargetAddress at, base::TargetAddress to);
/// ADR reg, data: any byte, 1 MiB back, a byte less forth.
base::Result<Instruction> adr(base::TargetAddress at, Register reg, base::TargetAddress data);
/// ADRP reg, page of data; ADD reg, reg, offset in the page: any byte, of 4 GiB of pages back, one less
/// forth.
base::Result<Code<8>> adrp_add(base::TargetAddress at, Register reg, base::TargetAddress data);
/// LDR reg, literal: 8 bytes at a multiple of 4, 1 MiB back, 4 bytes less forth.
base::Result<Instruction> ldr_literal(base::TargetAddress at, Register reg, base::TargetAddress literal);
/// LDR reg, [from, #offset]: a multiple of 8 up to 32760. Errors are without an address.
base::Result<Instruction> ldr(Register reg, Register from, std::uint32_t offset);

/// The 8 bytes of a pointer in memory.
Code<kLiteralBytes> literal(std::uint64_t value);

inline constexpr std::size_t kStubBytes = 16;

/// The stub of one site, made once and never changed: loads the site's record and jumps through the pointer
/// at `record + handler_offset`, so that a live site gets other clients by one 8-byte store of data. The
/// handler has the record in x17; it is come to by BR x16, which a BTI C lets pass.
///
///     adrp  x17, record
///     add   x17, x17, :lo12:record
///     ldr   x16, [x17, #handler_offset]
///     br    x16
base::Result<Code<kStubBytes>> stub(base::TargetAddress at, base::TargetAddress record,
                                    std::uint32_t handler_offset);

/// The stub of a site with CALL_OPS: finds the literal before the entry, which is the record's address, from
/// the link register, with a landing pad and without, and jumps through the record's first word. The handler
/// has the record in x17.
///
///     and   x17, x30, #-8              the entry + 8
///     ldur  x17, [x17, #-16]
///     ldr   x16, [x17]
///     br    x16
Code<kStubBytes> call_stub();

inline constexpr std::size_t kIslandBytes = 16;
inline constexpr std::size_t kIslandLiteral = 8;

/// A jump to anywhere, for what a B does not reach; x16 is lost. Where the literal is a multiple of 8, one
/// store to it leads the island elsewhere.
///
///     ldr   x16, 1f
///     br    x16
/// 1:  .quad to
base::Result<Code<kIslandBytes>> island(base::TargetAddress at, base::TargetAddress to);

}  // namespace calltap::isa::aarch64
