// Registers as unwind tables number them (DWARF for the Arm 64-bit Architecture).
#pragma once

#include <cstdint>

namespace calltap::isa::aarch64 {

inline constexpr unsigned kUnwindColumns = 32;
inline constexpr unsigned kStackColumn = 31;
inline constexpr bool kHasLinkRegister = true;
inline constexpr bool kSignsReturnAddresses = true;

/// Where a call stack is walked from: what the calling function keeps for its callers, its stack pointer and
/// where it is. Returns which registers these are, a bit each.
[[gnu::always_inline]] inline std::uint64_t read_unwind_registers(std::uint64_t (&value)[kUnwindColumns],
                                                                  std::uint64_t& counter) {
  std::uint64_t sp;
  __asm__ volatile(
      "stp x19, x20, [%2, #19*8]\n"
      "stp x21, x22, [%2, #21*8]\n"
      "stp x23, x24, [%2, #23*8]\n"
      "stp x25, x26, [%2, #25*8]\n"
      "stp x27, x28, [%2, #27*8]\n"
      "stp x29, x30, [%2, #29*8]\n"
      "mov %1, sp\n"
      "adr %0, ."
      : "=&r"(counter), "=&r"(sp)
      : "r"(&value[0])
      : "memory");
  value[kStackColumn] = sp;
  return 0xfff80000;  // x19 to x30, sp
}

/// The address without a pointer authentication code. A NOP for processors that know none.
inline std::uint64_t strip_signature(std::uint64_t address) {
  register std::uint64_t x30 __asm__("x30") = address;
  __asm__("hint #7" : "+r"(x30));  // xpaclri
  return x30;
}

/// A signal handler returns to code without an unwind table: mov x8, #139; svc #0. The stack pointer there is
/// where the kernel has put the interrupted function's registers: x0 to x30, sp, and the counter last, so
/// many bytes on (struct rt_sigframe).
inline constexpr std::uint64_t kSignalReturnCode = 0xd4000001'd2801168;
inline constexpr std::uint64_t kInterruptedRegisters = 312;
inline constexpr bool kCounterFirst = false;

}  // namespace calltap::isa::aarch64
