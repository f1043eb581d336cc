// fork: the child goes on calling while the parent does, from a process with several threads, down to
// grandchildren.
#define _GNU_SOURCE
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "calls.h"

enum { kChildren = 20, kCalls = 2000 };

static unsigned stop;

HOOKED static unsigned leaf(unsigned n) {
  CALLED();
  return n ^ 0x55;
}

HOOKED static unsigned work(unsigned n) {
  CALLED();
  unsigned sum = 0;
  for (unsigned i = 0; i < n; ++i) sum += leaf(i);
  return sum;
}

HOOKED static void* busy_thread(void* argument) {
  CALLED();
  while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) work(3);
  return argument;
}

// The child forks inside hooked functions and both sides return through them.
HOOKED static pid_t fork_inside(long (*forker)(void)) {
  CALLED();
  const pid_t child = (pid_t)forker();
  work(10);
  return child;
}

static long with_fork(void) { return fork(); }
#ifdef SYS_fork
static long with_raw_fork(void) { return syscall(SYS_fork); }
#else  // newer architectures have the other call only
static long with_raw_fork(void) { return syscall(SYS_clone, (long)SIGCHLD, 0L, 0L, 0L, 0L); }
#endif
static long with_raw_clone(void) { return syscall(SYS_clone, (long)SIGCHLD, 0L, 0L, 0L, 0L); }

HOOKED static void* thread_of_child(void* argument) {
  CALLED();
  work(100);
  return argument;
}

HOOKED static int child_body(unsigned generation) {
  CALLED();
  work(kCalls);
  if (generation > 0) {
    const pid_t grandchild = fork_inside(with_fork);
    if (grandchild == 0) _exit(child_body(generation - 1));
    int status = 0;
    waitpid(grandchild, &status, 0);
    if (!WIFEXITED(status)) return 99;
    pthread_t thread;
    if (pthread_create(&thread, NULL, thread_of_child, NULL) != 0) return 98;
    pthread_join(thread, NULL);
    return WEXITSTATUS(status) + 1;
  }
  return 0;
}

static void children(const char* how, long (*forker)(void), unsigned count, unsigned generation) {
  for (unsigned i = 0; i < count; ++i) {
    const pid_t child = fork_inside(forker);
    if (child < 0) abort();
    if (child == 0) _exit(child_body(generation));
    work(kCalls);
    int status = 0;
    waitpid(child, &status, 0);
    if (i == 0) {
      printf("%s: child exited %d with %d\n", how, WIFEXITED(status), WEXITSTATUS(status));
      fflush(stdout);
    }
  }
}

/// With any argument: fork() only. An emulator that leaves a child its parent's memory can be noticed by
/// nothing else.
int main(int argc, char** argv) {
  (void)argv;
  children("fork", with_fork, 5, 2);
  pthread_t threads[2];
  for (int i = 0; i < 2; ++i) {
    if (pthread_create(&threads[i], NULL, busy_thread, NULL) != 0) abort();
  }
  children("fork with threads", with_fork, kChildren, 0);
  stop = 1;
  for (int i = 0; i < 2; ++i) pthread_join(threads[i], NULL);
  if (argc > 1) return 0;
  // Without the library's atfork handlers the runtime hears nothing of these.
  children("raw fork", with_raw_fork, 3, 0);
  children("raw clone", with_raw_clone, 3, 0);
  return 0;
}
