// A coroutine whose hooked function tail-calls on another thread than the one it was called on, and leaves by
// longjmp; later the same stack slot has a live call, made on the first thread, when that thread looks for
// call frames that are over. The calls of the two threads are numbered apart, and must not be compared.
#include <pthread.h>
#include <semaphore.h>
#include <setjmp.h>
#include <stdio.h>
#include <ucontext.h>

#include "calls.h"

#define NOT_HOOKED __attribute__((noinline, patchable_function_entry(0, 0)))

enum { kWarmUp = 100000, kDepth = 200 };

static ucontext_t coroutine, resumer;
static char stack[1 << 18];
static jmp_buf base;
static sem_t first_has_left, second_has_left;
static volatile unsigned total;

HOOKED static unsigned leaf(unsigned n) {
  CALLED();
  total += n;
  return n + 1;
}

NOT_HOOKED static void pause_coroutine(void) { swapcontext(&coroutine, &resumer); }
NOT_HOOKED static void resume_coroutine(void) { swapcontext(&resumer, &coroutine); }

HOOKED __attribute__((noipa)) static unsigned leaves(unsigned n) {
  CALLED();
  if (n != 0) longjmp(base, 1);
  return leaf(n);
}

HOOKED __attribute__((noipa)) static unsigned tail_calls(unsigned n) {
  CALLED();
  pause_coroutine();  // goes on on the other thread
  return leaves(n);
}

HOOKED __attribute__((noipa)) static unsigned is_suspended(unsigned n) {
  CALLED();
  pause_coroutine();
  const unsigned value = leaf(n);
  NOT_A_TAIL_CALL();
  return value + n;
}

HOOKED static unsigned deep(unsigned n) {
  CALLED();
  const unsigned value = n != 0 ? deep(n - 1) : leaf(n);
  NOT_A_TAIL_CALL();
  return value ^ 1;
}

/// Both are called from here, so that they have the same stack slot.
NOT_HOOKED static void call(unsigned (*function)(unsigned), unsigned n) {
  total += function(n);
  NOT_A_TAIL_CALL();
}

NOT_HOOKED static void coroutine_body(void) {
  if (setjmp(base) == 0) call(tail_calls, 1);
  pause_coroutine();
  call(is_suspended, 2);
  puts("returned");
  pause_coroutine();
}

NOT_HOOKED static void* second_thread(void* nothing) {
  for (unsigned i = 0; i < kWarmUp; ++i) leaf(i);  // its calls have higher numbers
  sem_wait(&first_has_left);
  resume_coroutine();
  sem_post(&second_has_left);
  return nothing;
}

int main(void) {
  CALLED();
  pthread_t thread;
  sem_init(&first_has_left, 0, 0);
  sem_init(&second_has_left, 0, 0);
  pthread_create(&thread, NULL, second_thread, NULL);
  getcontext(&coroutine);
  coroutine.uc_stack.ss_sp = stack;
  coroutine.uc_stack.ss_size = sizeof stack;
  makecontext(&coroutine, coroutine_body, 0);
  resume_coroutine();
  sem_post(&first_has_left);
  sem_wait(&second_has_left);
  resume_coroutine();
  deep(kDepth);  // more frames than the thread has: it looks for some that are over
  resume_coroutine();
  pthread_join(thread, NULL);
  return 0;
}
