// GCC's nested functions: the static chain travels in r10, direct and through a trampoline on the stack.
#include <stdio.h>

#include "calls.h"

HOOKED static long apply(long (*function)(long), long n) {
  CALLED();
  return function(n) + 1;
}

HOOKED static long outer(long base, int depth) {
  CALLED();
  long seen = 0;
  HOOKED long inner(long n) {
    CALLED();
    seen += n;
    return base + n;
  }
  if (depth == 0) return inner(3) + apply(inner, 4) + seen;
  const long value = outer(base + 1, depth - 1) + inner(depth);
  return apply(inner, value) + seen;
}

int main(void) {
  long sum = 0;
  for (int i = 0; i < 500; ++i) sum += outer(i, i % 9);
  printf("%ld\n", sum);
  return 0;
}
