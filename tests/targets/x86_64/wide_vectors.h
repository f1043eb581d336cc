// Arguments in vector registers that only some processors have: 256 and 512 bits.
#pragma once

#include <immintrin.h>

#include "calls.h"

__attribute__((target("avx2"))) HOOKED static __m256d add256(__m256d a, __m256d b, __m256d c, __m256d d,
                                                             __m256d e, __m256d f, __m256d g, __m256d h) {
  CALLED();
  return a + 2 * b + 3 * c + 4 * d + 5 * e + 6 * f + 7 * g + 8 * h;
}

__attribute__((target("avx512f"))) HOOKED static __m512d add512(__m512d a, __m512d b, __m512d c, __m512d d,
                                                                __m512d e, __m512d f, __m512d g, __m512d h) {
  CALLED();
  return a + 2 * b + 3 * c + 4 * d + 5 * e + 6 * f + 7 * g + 8 * h;
}

__attribute__((target("avx2"))) static double run256(int i) {
  __m256d v[8];
  for (int j = 0; j < 8; ++j) v[j] = _mm256_set_pd(i + j, i - j, j * 0.5, i * 0.25);
  const __m256d sum = add256(v[0], v[1], v[2], v[3], v[4], v[5], v[6], v[7]);
  return sum[0] + 3 * sum[1] + 5 * sum[2] + 7 * sum[3];
}

__attribute__((target("avx512f"))) static double run512(int i) {
  __m512d v[8];
  for (int j = 0; j < 8; ++j) v[j] = _mm512_set_pd(i, j, i + j, i - j, j * 0.5, i * 0.25, 3, i * 2);
  const __m512d sum = add512(v[0], v[1], v[2], v[3], v[4], v[5], v[6], v[7]);
  double total = 0;
  for (int j = 0; j < 8; ++j) total += (2 * j + 1) * sum[j];
  return total;
}

static double wide_vectors(int i) {
  double sum = 0;
  if (__builtin_cpu_supports("avx2")) sum += run256(i);
  if (__builtin_cpu_supports("avx512f")) sum += run512(i);
  return sum;
}
