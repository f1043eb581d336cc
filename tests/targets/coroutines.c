// Coroutines on small stacks of their own (makecontext, swapcontext): a thousand of them suspended inside
// hooked calls and finishing out of order, and coroutines that move between threads.
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <ucontext.h>

#include "calls.h"

enum { kCoroutines = 1000, kStackBytes = 16384, kMigrating = 20, kHops = 50 };

struct Coroutine {
  ucontext_t context;
  unsigned id;
  int done;
  char* stack;
};

static struct Coroutine coroutines[kCoroutines];
static ucontext_t* scheduler;
static struct Coroutine* current;
static unsigned long total;

HOOKED static unsigned leaf(unsigned n) {
  CALLED();
  return n + 1;
}

HOOKED static void suspend(struct Coroutine* self) {
  CALLED();
  leaf(1);
  swapcontext(&self->context, scheduler);
}

HOOKED static unsigned nested(struct Coroutine* self, unsigned depth) {
  CALLED();
  suspend(self);
  if (depth > 0) total += nested(self, depth - 1);
  suspend(self);
  return leaf(depth);
}

HOOKED static void coroutine_body(void) {
  CALLED();
  struct Coroutine* self = current;
  total += nested(self, self->id % 7);
  self->done = 1;
  suspend(self);
  abort();
}

HOOKED static void resume(struct Coroutine* coroutine, ucontext_t* from) {
  CALLED();
  scheduler = from;
  current = coroutine;
  swapcontext(from, &coroutine->context);
}

static void make(struct Coroutine* coroutine, unsigned id) {
  coroutine->id = id;
  coroutine->done = 0;
  coroutine->stack = malloc(kStackBytes);
  getcontext(&coroutine->context);
  coroutine->context.uc_stack.ss_sp = coroutine->stack;
  coroutine->context.uc_stack.ss_size = kStackBytes;
  coroutine->context.uc_link = NULL;
  makecontext(&coroutine->context, coroutine_body, 0);
}

// A stride that meets every coroutine in an order unlike the last.
static unsigned run_all(unsigned count, unsigned stride) {
  ucontext_t here;
  unsigned remaining = 0;
  for (unsigned i = 0; i < count; ++i) {
    struct Coroutine* coroutine = &coroutines[i * stride % count];
    if (coroutine->done) continue;
    resume(coroutine, &here);
    remaining += !coroutine->done;
  }
  return remaining;
}

HOOKED static void* hop(void* argument) {
  CALLED();
  ucontext_t here;
  resume(argument, &here);
  return NULL;
}

int main(void) {
  for (unsigned i = 0; i < kCoroutines; ++i) make(&coroutines[i], i);
  unsigned rounds = 0;
  while (run_all(kCoroutines, 1 + 2 * 3 * (rounds % 5)) != 0) ++rounds;
  printf("total %lu in %u rounds\n", total, rounds);
  for (unsigned i = 0; i < kCoroutines; ++i) free(coroutines[i].stack);

  // Entered on one thread, left on another: each resume runs on a thread that ends right after.
  for (unsigned i = 0; i < kMigrating; ++i) make(&coroutines[i], i);
  for (unsigned round = 0; round < kHops; ++round) {
    for (unsigned i = 0; i < kMigrating; ++i) {
      if (coroutines[i].done) continue;
      pthread_t thread;
      if (pthread_create(&thread, NULL, hop, &coroutines[i]) != 0) abort();
      pthread_join(thread, NULL);
    }
  }
  printf("total %lu after migration\n", total);
  for (unsigned i = 0; i < kMigrating; ++i) free(coroutines[i].stack);
  return 0;
}
