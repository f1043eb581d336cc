// Variadic functions: the number of vector arguments in al, floating-point, structures and stack arguments.
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "calls.h"

struct Pair {
  double x;
  long n;
};

struct Large {
  long words[5];
};

HOOKED static int format(char* text, size_t size, const char* how, ...) {
  CALLED();
  va_list list;
  va_start(list, how);
  const int n = vsnprintf(text, size, how, list);
  va_end(list);
  return n;
}

HOOKED static double mixed(const char* kinds, ...) {
  CALLED();
  double sum = 0;
  va_list list;
  va_start(list, kinds);
  for (const char* kind = kinds; *kind != 0; ++kind) {
    struct Pair pair;
    struct Large large;
    switch (*kind) {
      case 'i':
        sum += va_arg(list, int);
        break;
      case 'd':
        sum += va_arg(list, double);
        break;
      case 'l':
        sum += (double)va_arg(list, long double);
        break;
      case 'p':
        pair = va_arg(list, struct Pair);
        sum += pair.x + (double)pair.n;
        break;
      case 's':
        large = va_arg(list, struct Large);
        for (int i = 0; i < 5; ++i) sum += (double)large.words[i];
        break;
      default:
        return -1;
    }
  }
  va_end(list);
  return sum;
}

// No vector argument: al is 0 and the prologue must not touch the vector registers.
HOOKED static long integers(int count, ...) {
  CALLED();
  long sum = 0;
  va_list list;
  va_start(list, count);
  for (int i = 0; i < count; ++i) sum = sum * 3 + va_arg(list, long);
  va_end(list);
  return sum;
}

int main(void) {
  char text[256];
  for (int i = 0; i < 1000; ++i) {
    const int n =
        format(text, sizeof text, "%d %.3f %s %Lf %c %.1f %.1f %.1f %.1f %.1f %.1f %.1f %.1f %ld", i, i / 3.0,
               "word", (long double)i / 7, 'c', 1.5, 2.5, 3.5, 4.5, 5.5, 6.5, 7.5, 8.5, 123456789012L);
    if (i % 250 == 0) printf("%d %s\n", n, text);
    const struct Pair pair = {i * 0.5, i};
    const struct Large large = {{i, 2, 3, 4, 5}};
    const double sum = mixed("idlpsidlpsddddddd", i, 0.25, 1.5L, pair, large, 7, 0.125, 2.5L, pair, large,
                             1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0);
    const long hash = integers(9, 1L, 2L, 3L, 4L, 5L, 6L, 7L, 8L, (long)i);
    if (i % 250 == 0) printf("%.3f %ld\n", sum, hash);
  }
  return 0;
}
