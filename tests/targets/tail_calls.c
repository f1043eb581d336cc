// Tail calls: millions of them in a row, between two functions and through a pointer, in constant stack
// and memory.
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "calls.h"
#include "own_command.h"

enum { kChain = 2000000, kAllowedGrowthKib = 4096 };

typedef unsigned (*Step)(unsigned n, unsigned long sum);

static unsigned long result;
static char* highest;
static char* lowest;

static unsigned ping(unsigned n, unsigned long sum);

static inline void note_stack(void) {
  char* here = __builtin_frame_address(0);
  if (highest == NULL || here > highest) highest = here;
  if (lowest == NULL || here < lowest) lowest = here;
}

HOOKED static unsigned pong(unsigned n, unsigned long sum) {
  CALLED();
  if (n == 0) {
    result = sum;
    return 0;
  }
  return ping(n - 1, sum + n);
}

HOOKED static unsigned ping(unsigned n, unsigned long sum) {
  CALLED();
  note_stack();
  if (n == 0) {
    result = sum;
    return 1;
  }
  return pong(n - 1, sum + 1);
}

static unsigned through_b(unsigned n, unsigned long sum);
static Step volatile step = through_b;

HOOKED static unsigned through_a(unsigned n, unsigned long sum) {
  CALLED();
  note_stack();
  return n == 0 ? (unsigned)sum : step(n - 1, sum);
}

HOOKED static unsigned through_b(unsigned n, unsigned long sum) {
  CALLED();
  return through_a(n, sum + n);
}

HOOKED static int sum_list(int count, va_list list) {
  CALLED();
  int sum = 0;
  for (int i = 0; i < count; ++i) sum += i % 2 == 0 ? va_arg(list, int) : (int)va_arg(list, double);
  return sum;
}

HOOKED static int last_of_variadic(int value) {
  CALLED();
  return value * 2;
}

HOOKED static int variadic(int count, ...) {
  CALLED();
  va_list list;
  va_start(list, count);
  const int sum = sum_list(count, list);
  va_end(list);
  return last_of_variadic(sum);
}

// Without shared memory, in which a recording's buffers are.
static long resident_kib(void) {
  char line[256];
  long value = -1;
  FILE* file = fopen("/proc/self/status", "r");
  if (file == NULL) abort();
  while (fgets(line, sizeof line, file) != NULL) {
    if (strncmp(line, "RssAnon:", 8) == 0) value = atol(line + 8);
  }
  fclose(file);
  return value;
}

int main(void) {
  ping(kChain / 8, 0);
  highest = lowest = NULL;
  const long before = resident_kib();
  printf("%u %lu\n", ping(kChain, 0), result);
  printf("%u\n", through_a(kChain / 2, 0));
  printf("%d\n", variadic(6, 1, 2.5, 3, 4.5, 5, 6.5));
  const long grown = resident_kib() - before;
  if (grown > kAllowedGrowthKib && !is_emulated()) printf("grown by %ld KiB\n", grown);
  printf("stack used by the chain: %s\n", highest - lowest < 4096 ? "constant" : "growing");
  return 0;
}
