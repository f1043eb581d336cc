// A daemon: forks twice, leaves the session, closes every descriptor there is, and goes on working.
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "calls.h"

enum { kCalls = 30000 };

HOOKED static unsigned work(unsigned n) {
  CALLED();
  return n * 5 + 3;
}

HOOKED static void daemon_body(void) {
  CALLED();
  unsigned n = 1;
  for (int i = 0; i < kCalls; ++i) n = work(n);
  _exit(n == 0 ? 1 : 7);
}

HOOKED static void become_daemon(void) {
  CALLED();
  if (fork() != 0) return;
  if (setsid() < 0) _exit(90);
  if (fork() != 0) _exit(0);
  if (close_range(0, ~0U, 0) != 0) _exit(91);
  // The first descriptors that the daemon opens must be 0, 1 and 2.
  for (int i = 0; i < 3; ++i) {
    if (open("/dev/null", O_RDWR) != i) _exit(92);
  }
  daemon_body();
}

int main(void) {
  prctl(PR_SET_CHILD_SUBREAPER, 1);
  become_daemon();
  int exits = 0;
  int status = 0;
  while (wait(&status) > 0) exits += WIFEXITED(status) ? WEXITSTATUS(status) : 1000;
  printf("exits %d\n", exits);
  return 0;
}
