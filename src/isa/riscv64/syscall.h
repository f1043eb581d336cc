// System calls without libc: no errno, no cancellation point, no symbol that a program might interpose.
#pragma once

namespace calltap::isa::riscv64 {

/// The kernel's result: -4095..-1 is a negative errno. Any thread, signal-safe. Unused arguments may be
/// anything.
inline long system_call(long number, long a = 0, long b = 0, long c = 0, long d = 0, long e = 0, long f = 0) {
  register long a7 __asm__("a7") = number;
  register long a0 __asm__("a0") = a;
  register long a1 __asm__("a1") = b;
  register long a2 __asm__("a2") = c;
  register long a3 __asm__("a3") = d;
  register long a4 __asm__("a4") = e;
  register long a5 __asm__("a5") = f;
  __asm__ volatile("ecall" : "+r"(a0) : "r"(a7), "r"(a1), "r"(a2), "r"(a3), "r"(a4), "r"(a5) : "memory");
  return a0;
}

}  // namespace calltap::isa::riscv64
