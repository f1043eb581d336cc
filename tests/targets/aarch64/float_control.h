// The register that says how floating-point instructions work, besides what <fenv.h> knows.
#pragma once

#include <stdint.h>

static inline uint64_t float_control(void) {
  uint64_t fpcr;
  __asm__ volatile("mrs %0, fpcr" : "=r"(fpcr));
  return fpcr;
}

/// From then on results that are too small are zero.
static inline void change_float_control(void) {
  enum { kFlushToZero = 1 << 24 };
  __asm__ volatile("msr fpcr, %0" : : "r"(float_control() | kFlushToZero));
}
