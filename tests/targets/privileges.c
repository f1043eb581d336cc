// A program that changes directory, root and user while it runs, and goes on calling.
#define _GNU_SOURCE
#include <grp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "calls.h"

HOOKED static unsigned work(unsigned n) {
  CALLED();
  return n + 1;
}

HOOKED static void* thread_body(void* argument) {
  CALLED();
  unsigned n = 0;
  for (int i = 0; i < 20000; ++i) n = work(n);
  return argument;
}

HOOKED static void run_thread(void) {
  CALLED();
  pthread_t thread;
  if (pthread_create(&thread, NULL, thread_body, NULL) != 0) abort();
  pthread_join(thread, NULL);
}

int main(void) {
  run_thread();
  printf("chdir %d\n", chdir("/"));
  run_thread();
  if (geteuid() == 0) {
    printf("chroot %d\n", chroot("/dev"));
    run_thread();
    printf("setgid %d\n", setresgid(65534, 65534, 65534));
    printf("setuid %d\n", setresuid(65534, 65534, 65534));
  }
  run_thread();
  printf("no dump %d\n", prctl(PR_SET_DUMPABLE, 0));
  run_thread();
  return 0;
}
