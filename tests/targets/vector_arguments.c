// Vector arguments and results at every width the processor has, and everything else that travels in
// registers or on the stack: complex, 128-bit, structures, twenty stack arguments.
#include <complex.h>
#include <stdio.h>

#include "calls.h"
#include "wide_vectors.h"

enum { kRounds = 2000 };

typedef double Vector __attribute__((vector_size(16)));

struct Mixed {
  double x;
  long n;
};

HOOKED static Vector add128(Vector a, Vector b, Vector c, Vector d, Vector e, Vector f, Vector g, Vector h) {
  CALLED();
  return a + 2 * b + 3 * c + 4 * d + 5 * e + 6 * f + 7 * g + 8 * h;
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
  double sum128 = 0, sum_wide = 0, sum_many = 0, sum_mixed = 0;
  long double extended_sum = 0;
  long double complex z = 0.25L + 0.25L * I;
  double complex w = 0;
  __int128 total = 1;
  for (int i = 0; i < kRounds; ++i) {
    Vector v[8];
    for (int j = 0; j < 8; ++j) v[j] = (Vector){i * 0.5 - j, i + j};
    const Vector sum = add128(v[0], v[1], v[2], v[3], v[4], v[5], v[6], v[7]);
    sum128 += sum[0] + 3 * sum[1];
    sum_wide += wide_vectors(i);
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
  printf("%.17g %.17g\n", sum128, sum_wide);
  printf("%.20Lg %.20Lg %.20Lg\n", creall(z), cimagl(z), extended_sum);
  printf("%.17g %.17g %lld %.17g %.17g\n", creal(w), cimag(w), (long long)total, sum_mixed, sum_many);
  return 0;
}
