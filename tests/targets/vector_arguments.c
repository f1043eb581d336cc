// Vector arguments and results at every width the processor has, and everything else that travels in
// registers or on the stack: complex, 128-bit, structures, twenty stack arguments.
#include <complex.h>
#include <immintrin.h>
#include <stdio.h>

#include "calls.h"

enum { kRounds = 2000 };

struct Mixed {
  double x;
  long n;
};

HOOKED static __m128d add128(__m128d a, __m128d b, __m128d c, __m128d d, __m128d e, __m128d f, __m128d g,
                             __m128d h) {
  CALLED();
  return a + 2 * b + 3 * c + 4 * d + 5 * e + 6 * f + 7 * g + 8 * h;
}

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

HOOKED static long double complex complex_root(long double complex z) {
  CALLED();
  return z * z + 1.0L;
}

HOOKED static long double extended(long double a, double b) {
  CALLED();
  return a / 3 + b;
}

HOOKED static double complex complex_double(double complex z, float complex w) {
  CALLED();
  return z * 2 + w;
}

HOOKED static __int128 wide(__int128 a, __int128 b) {
  CALLED();
  return a * 3 + b;
}

#if !defined(__clang__)
HOOKED static _Float128 quad(_Float128 a, _Float128 b) {
  CALLED();
  return a / 3 + b;
}
#endif

HOOKED static struct Mixed mixed(struct Mixed a, struct Mixed b) {
  CALLED();
  const struct Mixed sum = {a.x + b.x, a.n * b.n};
  return sum;
}

HOOKED static double many(int a, double b, int c, double d, int e, double f, int g, double h, int i, double j,
                          int k, double l, int m, double n, int o, double p, int q, double r, int s, double t,
                          long u, long v, long w, long x, double y, double z, float aa, float bb) {
  CALLED();
  return a + 2 * b + 3 * c + 4 * d + 5 * e + 6 * f + 7 * g + 8 * h + 9 * i + 10 * j + 11 * k + 12 * l +
         13 * m + 14 * n + 15 * o + 16 * p + 17 * q + 18 * r + 19 * s + 20 * t +
         (double)(21 * u + 22 * v + 23 * w + 24 * x) + 25 * y + 26 * z + 27 * (double)aa + 28 * (double)bb;
}

int main(void) {
  double sum128 = 0, sum256 = 0, sum512 = 0, sum_many = 0, sum_mixed = 0;
  long double extended_sum = 0;
  long double complex z = 0.25L + 0.25L * I;
  double complex w = 0;
  __int128 total = 1;
  for (int i = 0; i < kRounds; ++i) {
    __m128d v[8];
    for (int j = 0; j < 8; ++j) v[j] = _mm_set_pd(i + j, i * 0.5 - j);
    const __m128d sum = add128(v[0], v[1], v[2], v[3], v[4], v[5], v[6], v[7]);
    sum128 += sum[0] + 3 * sum[1];
    if (__builtin_cpu_supports("avx2")) sum256 += run256(i);
    if (__builtin_cpu_supports("avx512f")) sum512 += run512(i);
    z = complex_root(z / (1 + cabsl(z)) + 0.5L * I);
    w = complex_double(w / 4, 1.0f + 2.0f * I);
    extended_sum += extended(i, 0.5);
    total = wide(total % 1000003, i);
    const struct Mixed mixed_sum = mixed((struct Mixed){i, 3}, (struct Mixed){0.5, i});
    sum_mixed += mixed_sum.x + (double)mixed_sum.n;
    sum_many += many(i, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, i, 25,
                     26, 27, 28);
  }
#if !defined(__clang__)
  _Float128 quad_sum = 0;
  for (int i = 0; i < kRounds; ++i) quad_sum += quad(i, 1);
  printf("quad %.17g\n", (double)quad_sum);
#endif
  printf("%.17g %.17g %.17g\n", sum128, sum256, sum512);
  printf("%.20Lg %.20Lg %.20Lg\n", creall(z), cimagl(z), extended_sum);
  printf("%.17g %.17g %lld %.17g %.17g\n", creal(w), cimag(w), (long long)total, sum_mixed, sum_many);
  return 0;
}
