// The register that says how floating-point instructions work, besides what <fenv.h> knows.
#pragma once

#include <stdint.h>
#include <xmmintrin.h>

static inline uint64_t float_control(void) { return _mm_getcsr(); }
/// From then on results that are too small are zero.
static inline void change_float_control(void) { _mm_setcsr(_mm_getcsr() | _MM_FLUSH_ZERO_ON); }
