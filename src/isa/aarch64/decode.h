// Recognise the few instructions that compilers reserve at function entries, and direct calls. Nothing else
// is decoded here.
//
// Pure functions over bytes: any thread, any signal context, every host.
#pragma once

#include <cstdint>
#include <span>

namespace calltap::isa::aarch64 {

/// Length in bytes of BTI.
inline constexpr unsigned kLandingPadBytes = 4;

/// 4 if `code` starts with the NOP that compilers and assemblers write (HINT #0), else 0. The hints that
/// processors of today ignore are not NOPs here: later ones may give them a meaning, as they have to BTI.
[[nodiscard]] unsigned nop_length(std::span<const std::uint8_t> code);

/// True if `code` starts with a BTI that calls may come to: BTI C or BTI JC. PACIASP lets calls pass too, but
/// belongs to the body: where a function has both, and NOPs, it stands behind them.
[[nodiscard]] bool is_landing_pad(std::span<const std::uint8_t> code);

/// How far from its own start the BL at the start of `code` leads, 0 if there is none.
[[nodiscard]] std::int64_t call_offset(std::span<const std::uint8_t> code);

}  // namespace calltap::isa::aarch64
