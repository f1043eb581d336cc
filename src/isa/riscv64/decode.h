// Recognise the few instructions that compilers reserve at function entries, and direct calls. Nothing else
// is decoded here.
//
// Pure functions over bytes: any thread, any signal context, every host.
#pragma once

#include <cstdint>
#include <span>

namespace calltap::isa::riscv64 {

/// Length in bytes of the NOP at the start of `code`, 0 if there is none or `code` ends inside it: 2 for
/// C.NOP, which compilers write where the C extension is allowed, 4 for NOP. Other instructions that do
/// nothing are hints, which later processors may give a meaning.
[[nodiscard]] unsigned nop_length(std::span<const std::uint8_t> code);

/// 2 or 4, as the first byte of `code` says.
[[nodiscard]] unsigned instruction_length(std::span<const std::uint8_t> code);

/// How far from its own start the call at the start of `code` leads: JAL or AUIPC and JALR, both with RA. 0
/// if there is none.
[[nodiscard]] std::int64_t call_offset(std::span<const std::uint8_t> code);

}  // namespace calltap::isa::riscv64
