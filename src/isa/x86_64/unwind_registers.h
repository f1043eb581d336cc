// Registers as unwind tables number them (System V ABI, "DWARF register number mapping").
#pragma once

#include <cstdint>

namespace calltap::isa::x86_64 {

inline constexpr unsigned kUnwindColumns = 17;  // the last is the return address
inline constexpr unsigned kStackColumn = 7;
inline constexpr bool kHasLinkRegister = false;
inline constexpr bool kSignsReturnAddresses = false;

/// Where a call stack is walked from: what the calling function keeps for its callers, its stack pointer and
/// where it is. Returns which registers these are, a bit each.
[[gnu::always_inline]] inline std::uint64_t read_unwind_registers(std::uint64_t (&value)[kUnwindColumns],
                                                                  std::uint64_t& counter) {
  __asm__ volatile(
      "movq %%rbx, 3*8(%1)\n"
      "movq %%rbp, 6*8(%1)\n"
      "movq %%rsp, 7*8(%1)\n"
      "movq %%r12, 12*8(%1)\n"
      "movq %%r13, 13*8(%1)\n"
      "movq %%r14, 14*8(%1)\n"
      "movq %%r15, 15*8(%1)\n"
      "leaq 0(%%rip), %0"
      : "=&r"(counter)
      : "r"(&value[0])
      : "memory");
  return 1 << 3 | 1 << 6 | 1 << 7 | 1 << 12 | 1 << 13 | 1 << 14 | 1 << 15;
}

inline std::uint64_t strip_signature(std::uint64_t address) { return address; }

/// A signal handler returns to code that has an unwind table.
inline constexpr std::uint64_t kSignalReturnCode = 0;
inline constexpr std::uint64_t kInterruptedRegisters = 0;
inline constexpr bool kCounterFirst = false;

}  // namespace calltap::isa::x86_64
