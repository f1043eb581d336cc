// longjmp from every depth of recursion, each followed by nested calls, on threads of their own: whatever
// number of call frames is left behind when the next call looks for one, no call that is in flight may lose
// its own.
#include <pthread.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>

#include "calls.h"

enum { kMostDepth = 130, kRounds = 60 };

static __thread jmp_buf back;

HOOKED static unsigned inner(unsigned n) {
  CALLED();
  return n;
}

HOOKED static unsigned outer(unsigned n) {
  CALLED();
  const unsigned value = inner(n);
  NOT_A_TAIL_CALL();
  return value + 1;
}

HOOKED static unsigned jump(unsigned depth) {
  CALLED();
  if (depth == 0) longjmp(back, 1);
  const unsigned value = jump(depth - 1);
  NOT_A_TAIL_CALL();
  return value + 1;
}

HOOKED static void* jump_from(void* depth) {
  CALLED();
  for (volatile unsigned i = 0; i < kRounds; ++i) {
    if (setjmp(back) == 0) jump((unsigned)(size_t)depth);
    if (outer(i) != i + 1) puts("a wrong result");
  }
  return NULL;
}

int main(void) {
  for (size_t depth = 0; depth <= kMostDepth; ++depth) {
    pthread_t thread;
    if (pthread_create(&thread, NULL, jump_from, (void*)depth) != 0) abort();
    pthread_join(thread, NULL);
  }
  return 0;
}
