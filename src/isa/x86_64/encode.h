// Encode the few instructions that the patcher and the stubs are made of.
//
// Pure functions from target addresses to bytes: any thread, any signal context, every host. Where an operand
// is relative, `at` is the address of the instruction's first byte; kOutOfReach, with `at`, if the distance
// does not fit.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "base/address.h"
#include "base/error.h"

namespace calltap::isa::x86_64 {

inline constexpr std::uint8_t kInt3 = 0xcc;
inline constexpr std::uint8_t kJmpRel8 = 0xeb;
inline constexpr std::uint8_t kJmpRel32 = 0xe9;

inline constexpr std::size_t kJmpRel8Bytes = 2;
inline constexpr std::size_t kJmpRel32Bytes = 5;

template <std::size_t kBytes>
using Code = std::array<std::uint8_t, kBytes>;

/// EB d8: jmp to
base::Result<Code<kJmpRel8Bytes>> jmp_rel8(base::TargetAddress at, base::TargetAddress to);
/// E9 d32: jmp to
base::Result<Code<kJmpRel32Bytes>> jmp_rel32(base::TargetAddress at, base::TargetAddress to);
/// E8 d32: call to
base::Result<Code<5>> call_rel32(base::TargetAddress at, base::TargetAddress to);
/// FF 25 d32: jmp *slot(%rip), through the 8-byte pointer at `slot`
base::Result<Code<6>> jmp_through(base::TargetAddress at, base::TargetAddress slot);
/// 4C 8D 1D d32: lea data(%rip), %r11
base::Result<Code<7>> lea_r11(base::TargetAddress at, base::TargetAddress data);
/// 41 FF 63 d8: jmp *offset(%r11)
Code<4> jmp_through_r11(std::int8_t offset);

/// The NOP of 1 to 9 bytes that Intel's and AMD's manuals recommend; empty for any other length.
std::span<const std::uint8_t> nop(std::size_t length);

inline constexpr std::size_t kStubBytes = 16;

/// The stub of one site, made once and never changed: loads the site's record and jumps through the pointer
/// at `record + target_offset`, so that a live site gets other clients by one 8-byte store of data.
///
///     lea  record(%rip), %r11
///     jmp  *target_offset(%r11)
///     int3 ...                      to 16 bytes
base::Result<Code<kStubBytes>> stub(base::TargetAddress at, base::TargetAddress record,
                                    std::int8_t target_offset);

inline constexpr std::size_t kPadStubBytes = 9;

/// A stub that fits into the pad before the entry, for a record in the lower 4 GiB that has the handler as
/// its first word. kOutOfReach, with the record's address, for one that is not there.
///
///     mov  $record, %r11d           41 BB imm32, which clears the upper half
///     jmp  *(%r11)                  41 FF 23
base::Result<Code<kPadStubBytes>> pad_stub(base::TargetAddress record);

}  // namespace calltap::isa::x86_64
