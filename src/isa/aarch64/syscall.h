// System calls without libc: no errno, no cancellation point, no symbol that a program might interpose.
#pragma once

namespace calltap::isa::aarch64 {

/// The kernel's result: -4095..-1 is a negative errno. Any thread, signal-safe. Unused arguments may be
/// anything.
inline long system_call(long number, long a = 0, long b = 0, long c = 0, long d = 0, long e = 0, long f = 0) {
  register long x8 __asm__("x8") = number;
  register long x0 __asm__("x0") = a;
  register long x1 __asm__("x1") = b;
  register long x2 __asm__("x2") = c;
  register long x3 __asm__("x3") = d;
  register long x4 __asm__("x4") = e;
  register long x5 __asm__("x5") = f;
  __asm__ volatile("svc #0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5) : "memory");
  return x0;
}

}  // namespace calltap::isa::aarch64
