// setjmp and longjmp in long loops: from deep frames, in both forms, and with __builtin_setjmp. Nothing may
// pile up: the program watches its own resident memory.
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "calls.h"
#include "own_command.h"

enum { kJumps = 400000, kDeepJumps = 3000, kDepth = 100, kAllowedGrowthKib = 4096 };

static jmp_buf back;
static sigjmp_buf signal_back;
#if defined(__clang__) && !defined(__x86_64__)  // clang 14 has none there
static jmp_buf builtin_back;
#define BUILTIN_SETJMP setjmp
#define BUILTIN_LONGJMP longjmp
#else
static void* builtin_back[5];
#define BUILTIN_SETJMP __builtin_setjmp
#define BUILTIN_LONGJMP __builtin_longjmp
#endif

HOOKED static unsigned leaf(unsigned n) {
  CALLED();
  return n + 1;
}

HOOKED static void jump(unsigned n) {
  CALLED();
  longjmp(back, (int)leaf(n));
}

HOOKED static void jump_deep(unsigned depth) {
  CALLED();
  if (depth == 0) siglongjmp(signal_back, 1);
  jump_deep(depth - 1);
  NOT_A_TAIL_CALL();
}

HOOKED static void jump_builtin(void) {
  CALLED();
  leaf(0);
  BUILTIN_LONGJMP(builtin_back, 1);
}

HOOKED static int catch_builtin(void) {
  CALLED();
  if (BUILTIN_SETJMP(builtin_back) == 0) jump_builtin();
  return (int)leaf(0);
}

HOOKED static int round_trip(unsigned n) {
  CALLED();
  const int value = setjmp(back);
  if (value == 0) jump(n & 1023);
  return value;
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
  static unsigned long sum;  // not in a register that longjmp restores
  // Warm up: buffers and pages that are paid once.
  for (unsigned i = 0; i < kJumps / 4; ++i) sum += (unsigned)round_trip(i);
  const long before = resident_kib();
  for (unsigned i = 0; i < kJumps; ++i) sum += (unsigned)round_trip(i);
  volatile int deep = 0;
  for (volatile unsigned i = 0; i < kDeepJumps; ++i) {
    if (sigsetjmp(signal_back, 1) == 0) jump_deep(kDepth);
    ++deep;
  }
  for (unsigned i = 0; i < kDeepJumps; ++i) sum += (unsigned)catch_builtin();
  const long grown = resident_kib() - before;
  printf("sum %lu, deep %d\n", sum, deep);
  if (grown > kAllowedGrowthKib && !is_emulated()) printf("grown by %ld KiB\n", grown);
  return 0;
}
