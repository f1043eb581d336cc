// System calls without libc: no errno, no cancellation point, no symbol that a program might interpose.
#pragma once

namespace calltap::isa::x86_64 {

/// The kernel's result: -4095..-1 is a negative errno. Any thread, signal-safe. Unused arguments may be
/// anything.
inline long system_call(long number, long a = 0, long b = 0, long c = 0, long d = 0, long e = 0, long f = 0) {
  long result;
  register long r10 __asm__("r10") = d;
  register long r8 __asm__("r8") = e;
  register long r9 __asm__("r9") = f;
  __asm__ volatile("syscall"
                   : "=a"(result)
                   : "0"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                   : "rcx", "r11", "memory");
  return result;
}

}  // namespace calltap::isa::x86_64
