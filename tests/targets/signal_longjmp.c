// siglongjmp out of a signal handler, with hooked calls in flight on both sides of the signal.
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/time.h>

#include "calls.h"

enum { kJumps = 1000 };

static sigjmp_buf back;
static volatile sig_atomic_t armed;
static volatile unsigned jumps;

HOOKED static unsigned leaf(unsigned n) {
  CALLED();
  return n + 1;
}

HOOKED static void jump(void) {
  CALLED();
  siglongjmp(back, 1);
}

HOOKED static void on_signal(int number) {
  CALLED();
  (void)number;
  if (armed) {
    armed = 0;
    jump();
  }
}

HOOKED static unsigned deep(unsigned depth) {
  CALLED();
  unsigned n = depth == 0 ? leaf(1) : deep(depth - 1);
  NOT_A_TAIL_CALL();
  return n + leaf(n);
}

HOOKED static void until_signal(void) {
  CALLED();
  if (sigsetjmp(back, 1) == 0) {
    armed = 1;
    for (;;) deep(20);
  }
  ++jumps;
}

int main(void) {
  struct sigaction action = {0};
  action.sa_handler = on_signal;
  if (sigaction(SIGALRM, &action, NULL) != 0) abort();
  const struct itimerval timer = {{0, 60}, {0, 60}};
  setitimer(ITIMER_REAL, &timer, NULL);
  while (jumps < kJumps) until_signal();
  const struct itimerval off = {0};
  setitimer(ITIMER_REAL, &off, NULL);
  printf("jumped %u times\n", jumps);
  return 0;
}
