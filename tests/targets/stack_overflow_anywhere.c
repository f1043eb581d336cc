// Stacks that overflow with any number of bytes left when a hooked call is made, at depths at which Calltap
// needs new memory for call frames: wherever the fault is, the program's SIGSEGV handler gets it.
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "calls.h"

#define NOT_HOOKED __attribute__((noinline, patchable_function_entry(0, 0)))

enum {
  kStackBytes = 1 << 18,
  kGuardBytes = 1 << 14,
  kFirstDepth = 56,
  kLastDepth = 72,
  kMostLeft = 2560,
  kStep = 64
};

struct Run {
  unsigned depth, left;
};

static char* stack;  // its lowest usable byte
static __thread sigjmp_buf back;

HOOKED static unsigned last(unsigned n) {
  CALLED();
  return n;
}

NOT_HOOKED static unsigned use_up(unsigned left) {
  volatile char here = 0;
  const size_t space = (size_t)((uintptr_t)&here - (uintptr_t)stack);
  volatile char* filled = __builtin_alloca(space - left);
  filled[0] = (char)left;
  return last(left) + (unsigned)filled[0];
}

HOOKED static unsigned deep(unsigned n, unsigned left) {
  CALLED();
  const unsigned value = n != 0 ? deep(n - 1, left) : use_up(left);
  NOT_A_TAIL_CALL();
  return value + 1;
}

NOT_HOOKED static void on_fault(int number) {
  (void)number;
  siglongjmp(back, 1);
}

NOT_HOOKED static void* run(void* argument) {
  const struct Run* what = argument;
  char* handlers = malloc(SIGSTKSZ);
  const stack_t alternative = {.ss_sp = handlers, .ss_size = (size_t)SIGSTKSZ};
  sigaltstack(&alternative, NULL);
  if (sigsetjmp(back, 1) == 0) deep(what->depth, what->left);
  const stack_t none = {.ss_flags = SS_DISABLE};
  sigaltstack(&none, NULL);
  free(handlers);
  return NULL;
}

int main(void) {
  CALLED();
  struct sigaction action = {0};
  action.sa_handler = on_fault;
  action.sa_flags = SA_ONSTACK;
  sigaction(SIGSEGV, &action, NULL);
  char* memory = mmap(NULL, kGuardBytes + kStackBytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) abort();
  stack = memory + kGuardBytes;
  mprotect(stack, kStackBytes, PROT_READ | PROT_WRITE);
  for (unsigned depth = kFirstDepth; depth <= kLastDepth; ++depth) {
    for (unsigned left = 0; left <= kMostLeft; left += kStep) {
      struct Run what = {depth, left};
      pthread_attr_t attributes;
      pthread_attr_init(&attributes);
      pthread_attr_setstack(&attributes, stack, kStackBytes);
      pthread_t thread;
      if (pthread_create(&thread, &attributes, run, &what) != 0) abort();
      pthread_join(thread, NULL);
    }
  }
  puts("all done");
  return 0;
}
