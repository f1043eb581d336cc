// Recognise the few instructions that compilers reserve at function entries. Nothing else is decoded here.
//
// Pure functions over bytes: any thread, any signal context, every host.
#pragma once

#include <cstdint>
#include <span>

namespace calltap::isa::x86_64 {

/// Length in bytes of ENDBR64, the only landing pad of this architecture (Intel CET, indirect branch
/// tracking).
inline constexpr unsigned kLandingPadBytes = 4;

/// Length of the NOP instruction at the start of `code`, 0 if there is none or `code` ends inside it.
///
/// Knows `90` and `0F 1F /0` with any operand, each behind any run of 66, 67 and segment prefixes and REX
/// prefixes, up to the architecture's limit of 15 bytes. Not a NOP here: `90` with REX.B (XCHG with r8),
/// anything behind F2, F3 or F0 (F3 90 is PAUSE), and the reserved hints 0F 18 to 0F 1E, which later
/// processors may give a meaning.
[[nodiscard]] unsigned nop_length(std::span<const std::uint8_t> code);

/// True if `code` starts with ENDBR64.
[[nodiscard]] bool is_landing_pad(std::span<const std::uint8_t> code);

}  // namespace calltap::isa::x86_64
