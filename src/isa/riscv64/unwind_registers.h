// Registers as unwind tables number them (RISC-V ELF psABI).
#pragma once

#include <cstdint>

namespace calltap::isa::riscv64 {

inline constexpr unsigned kUnwindColumns = 32;
inline constexpr unsigned kStackColumn = 2;
inline constexpr bool kHasLinkRegister = true;
inline constexpr bool kSignsReturnAddresses = false;

/// Where a call stack is walked from: what the calling function keeps for its callers, its stack pointer and
/// where it is. Returns which registers these are, a bit each.
[[gnu::always_inline]] inline std::uint64_t read_unwind_registers(std::uint64_t (&value)[kUnwindColumns],
                                                                  std::uint64_t& counter) {
  __asm__ volatile(
      "sd ra, 1*8(%1)\n"
      "sd sp, 2*8(%1)\n"
      "sd s0, 8*8(%1)\n"
      "sd s1, 9*8(%1)\n"
      "sd s2, 18*8(%1)\n"
      "sd s3, 19*8(%1)\n"
      "sd s4, 20*8(%1)\n"
      "sd s5, 21*8(%1)\n"
      "sd s6, 22*8(%1)\n"
      "sd s7, 23*8(%1)\n"
      "sd s8, 24*8(%1)\n"
      "sd s9, 25*8(%1)\n"
      "sd s10, 26*8(%1)\n"
      "sd s11, 27*8(%1)\n"
      "auipc %0, 0"
      : "=&r"(counter)
      : "r"(&value[0])
      : "memory");
  return 1 << 1 | 1 << 2 | 1 << 8 | 1 << 9 | 0x3ff << 18;
}

inline std::uint64_t strip_signature(std::uint64_t address) { return address; }

/// A signal handler returns to code without a useful unwind table: li a7, 139; ecall. The stack pointer there
/// is where the kernel has put the interrupted function's registers: the counter first, then x1 to x31, so
/// many bytes on (struct rt_sigframe).
inline constexpr std::uint64_t kSignalReturnCode = 0x00000073'08b00893;
inline constexpr std::uint64_t kInterruptedRegisters = 304;
inline constexpr bool kCounterFirst = true;

}  // namespace calltap::isa::riscv64
