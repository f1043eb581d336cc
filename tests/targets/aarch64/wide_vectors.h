// Arguments in vector registers that only some processors have: SVE's, as long as this one's are, and its
// predicates.
#pragma once

// clang 14 has no pragma for it.
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC push_options
#pragma GCC target("+sve")
#define WITH_SVE
#endif

#include <sys/auxv.h>

#include "calls.h"

#ifdef WITH_SVE
#include <arm_sve.h>

HOOKED static svfloat64_t add_scalable(svfloat64_t a, svfloat64_t b, svfloat64_t c, svfloat64_t d,
                                       svfloat64_t e, svfloat64_t f, svfloat64_t g, svfloat64_t h,
                                       svbool_t even, svbool_t odd) {
  CALLED();
  const svbool_t all = svptrue_b64();
  const svfloat64_t low = svmad_m(all, b, svdup_f64(2), svmad_m(all, c, svdup_f64(3), a));
  const svfloat64_t middle = svmad_m(all, d, svdup_f64(4), svmad_m(all, e, svdup_f64(5), f));
  const svfloat64_t high = svmad_m(all, g, svdup_f64(7), svmul_m(all, h, 8));
  return svadd_m(odd, svadd_m(even, low, middle), high);
}

static double run_scalable(int i) {
  const svbool_t all = svptrue_b64();
  const svfloat64_t lanes = svcvt_f64_x(all, svindex_s64(i, 1));
  const svbool_t even = svcmpeq(all, svand_x(all, svindex_s64(0, 1), 1), 0);
  const svfloat64_t sum = add_scalable(
      lanes, svadd_x(all, lanes, 1), svadd_x(all, lanes, 2), svadd_x(all, lanes, 3), svadd_x(all, lanes, 4),
      svadd_x(all, lanes, 5), svadd_x(all, lanes, 6), svadd_x(all, lanes, 7), even, svnot_z(all, even));
  return svaddv(all, svmul_x(all, sum, lanes));
}
#pragma GCC pop_options
#endif

static double wide_vectors(int i) {
#ifdef WITH_SVE
  if ((getauxval(AT_HWCAP) & HWCAP_SVE) != 0) return run_scalable(i);
#endif
  return i;
}
