// The register that says how floating-point instructions work, and what they have met.
#pragma once

#include <stdint.h>

static inline uint64_t float_control(void) {
  uint64_t fcsr;
  __asm__ volatile("frcsr %0" : "=r"(fcsr));
  return fcsr;
}

/// There is nothing to change but the rounding mode and the flags: another flag.
static inline void change_float_control(void) {
  enum { kUnderflow = 1 << 1 };
  __asm__ volatile("fscsr %0" : : "r"(float_control() | kUnderflow));
}
