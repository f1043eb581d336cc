// Signals at a high rate, from a timer and from another thread, nested and on an alternative stack, whose
// handlers call hooked functions: they arrive in the middle of everything the runtime does.
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/time.h>

#include "calls.h"

enum { kWork = 200000, kWanted = 200 };

static volatile unsigned timer_signals;
static volatile unsigned kill_signals;
static unsigned stop;
static __thread volatile int depth;

HOOKED static unsigned leaf(unsigned n) {
  CALLED();
  return n + 1;
}

HOOKED static unsigned work(unsigned n) {
  CALLED();
  for (int i = 0; i < 10; ++i) n = leaf(n);
  return n;
}

HOOKED static void handler_calls(void) {
  CALLED();
  leaf(1);
}

HOOKED static void on_timer(int number) {
  CALLED();
  (void)number;
  handler_calls();
  __atomic_fetch_add(&timer_signals, 1, __ATOMIC_RELAXED);
}

// Interrupts itself (SA_NODEFER), but not without end.
HOOKED static void on_nested(int number) {
  CALLED();
  handler_calls();
  if (depth < 3) {
    ++depth;
    raise(number);
    --depth;
  }
}

HOOKED static void on_kill(int number) {
  CALLED();
  (void)number;
  handler_calls();
  raise(SIGUSR2);
  __atomic_fetch_add(&kill_signals, 1, __ATOMIC_RELAXED);
}

HOOKED static void* sender(void* argument) {
  CALLED();
  const pthread_t target = *(pthread_t*)argument;
  while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
    pthread_kill(target, SIGUSR1);
    leaf(2);
    sched_yield();
  }
  return NULL;
}

static void handle(int number, void (*handler)(int), int flags) {
  struct sigaction action = {0};
  action.sa_handler = handler;
  action.sa_flags = SA_RESTART | flags;
  if (sigaction(number, &action, NULL) != 0) abort();
}

int main(void) {
  static char alternative[262144];
  const stack_t stack = {.ss_sp = alternative, .ss_size = sizeof alternative};
  if (sigaltstack(&stack, NULL) != 0) abort();
  handle(SIGALRM, on_timer, SA_ONSTACK);
  handle(SIGUSR1, on_kill, 0);
  handle(SIGUSR2, on_nested, SA_NODEFER);

  // The sender must not get the timer's signals: it has no alternative stack.
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGALRM);
  pthread_sigmask(SIG_BLOCK, &set, NULL);
  pthread_t self = pthread_self();
  pthread_t thread;
  if (pthread_create(&thread, NULL, sender, &self) != 0) abort();
  pthread_sigmask(SIG_UNBLOCK, &set, NULL);

  const struct itimerval timer = {{0, 50}, {0, 50}};
  setitimer(ITIMER_REAL, &timer, NULL);
  unsigned n = 0;
  for (unsigned i = 0; i < kWork || kill_signals < kWanted || timer_signals < kWanted; ++i) {
    n += work(n);
    if (i % 64 == 0) sched_yield();  // to the sender, on a machine with one processor
  }
  const struct itimerval off = {0};
  setitimer(ITIMER_REAL, &off, NULL);
  stop = 1;
  pthread_join(thread, NULL);
  printf("enough signals\n");
  return 0;
}
