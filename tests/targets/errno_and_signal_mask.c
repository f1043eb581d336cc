// What a call may not change: errno, the signal mask, the floating-point environment, the direction flag's
// default; and system calls that a signal interrupts still fail with EINTR, alarm still fires.
#define _GNU_SOURCE
#include <errno.h>
#include <fenv.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/time.h>
#include <unistd.h>

#include "calls.h"
#include "float_control.h"

enum { kRounds = 100000 };

static volatile int signals;

HOOKED static int leaf(int n) {
  CALLED();
  return n + 1;
}

HOOKED static void on_signal(int number) {
  CALLED();
  (void)number;
  signals = leaf(signals);
}

HOOKED static int fails(void) {
  CALLED();
  errno = 71;
  leaf(1);
  return errno;
}

HOOKED static int count_changes(void) {
  CALLED();
  sigset_t before, after;
  sigemptyset(&before);
  sigaddset(&before, SIGUSR2);
  sigaddset(&before, SIGTERM);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  fesetround(FE_UPWARD);
  change_float_control();
  const uint64_t control = float_control();
  int changes = 0;
  for (int i = 0; i < kRounds; ++i) {
    errno = i;
    leaf(i);
    changes += errno != i;
    changes += fails() != 71;
    changes += float_control() != control || fegetround() != FE_UPWARD;
    pthread_sigmask(SIG_SETMASK, NULL, &after);
    for (int number = 1; number < NSIG; ++number) {
      changes += sigismember(&before, number) != sigismember(&after, number);
    }
  }
  fesetround(FE_TONEAREST);
  sigemptyset(&before);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  return changes;
}

HOOKED static int interrupted_read(int file) {
  CALLED();
  char byte;
  const struct itimerval soon = {{0, 0}, {0, 5000}};
  setitimer(ITIMER_REAL, &soon, NULL);
  const ssize_t n = read(file, &byte, 1);
  return n == -1 && errno == EINTR;
}

int main(void) {
  int ends[2];
  struct sigaction action = {0};
  action.sa_handler = on_signal;
  if (sigaction(SIGALRM, &action, NULL) != 0 || pipe(ends) != 0) abort();
  printf("changes %d\n", count_changes());
  int interrupted = 0;
  for (int i = 0; i < 20; ++i) interrupted += interrupted_read(ends[0]);
  printf("interrupted %d, signals %d\n", interrupted, signals);
  return 0;
}
