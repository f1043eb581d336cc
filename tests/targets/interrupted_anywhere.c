// A signal at every single instruction of a hooked call: the process is stepped through the call by its
// parent, which sends it the signal after one more instruction each time. What the handler does:
//   calls   so many hooked calls that packets are filled, written and used again while the event that it
//   interrupted
//           still waits for its place
//   jumps   leaves by siglongjmp
//   forks   a child that returns into the interrupted call
#define _GNU_SOURCE
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "calls.h"

// A packet holds 8181 events. The handler ends a little before the place that it interrupted, two packets
// later.
enum { kFirstCalls = 4000, kSecondCalls = 4090, kMostSteps = 600 };

static void (*in_handler)(void);
static sigjmp_buf before_call;
static volatile int is_done;  // the hooked call is behind us
static volatile int is_child;

// A forked child goes on in calls whose entries its parent may have written.
#define CALLED_IN_PARENT() \
  if (!is_child) CALLED()

HOOKED static int leaf(int n) {
  CALLED_IN_PARENT();
  return n + 1;
}

HOOKED static int interrupted(int n) {
  CALLED_IN_PARENT();
  return leaf(n) * 2;
}

static void calls(void) {
  for (int i = 0; i < kFirstCalls; ++i) leaf(i);
  const struct timespec until_written = {0, 2000000};
  nanosleep(&until_written, NULL);
  for (int i = 0; i < kSecondCalls; ++i) leaf(i);
}

static void jumps(void) {
  leaf(1);
  siglongjmp(before_call, 1);
}

static void forks(void) {
  const pid_t child = fork();
  if (child < 0) abort();
  if (child == 0) {
    is_child = 1;
    return;
  }
  int status = 0;
  if (waitpid(child, &status, 0) != child) abort();
  if (status != 0) {
    printf("the child ended with %#x\n", (unsigned)status);
    fflush(stdout);
  }
}

HOOKED static void on_signal(int number) {
  CALLED();
  (void)number;
  in_handler();
}

// Stops twice for the parent: before the call and after it.
static void one_call(void) {
  interrupted(0);
  is_done = 0;
  if (sigsetjmp(before_call, 1) == 0) {
    __asm__ volatile("int3");
    interrupted(1);
  }
  is_done = 1;
  if (is_child) _exit(0);
  __asm__ volatile("int3");
}

// Other signals than the breakpoint's and the steps' (SIGCHLD) go on to the process.
static void wait_for_stop(pid_t child) {
  for (;;) {
    int status = 0;
    if (waitpid(child, &status, 0) != child || !WIFSTOPPED(status)) {
      printf("ended early, status %#x\n", (unsigned)status);
      exit(1);
    }
    if (WSTOPSIG(status) == SIGTRAP) return;
    if (ptrace(PTRACE_CONT, child, 0, WSTOPSIG(status)) != 0) abort();
  }
}

// Whether the signal came before the call was over.
static int interrupt_after(pid_t child, int steps) {
  wait_for_stop(child);
  for (int i = 0; i < steps; ++i) {
    if (ptrace(PTRACE_SINGLESTEP, child, 0, 0) != 0) abort();
    wait_for_stop(child);
  }
  const int was_done = (int)ptrace(PTRACE_PEEKDATA, child, &is_done, 0);
  if (!was_done) {
    if (ptrace(PTRACE_CONT, child, 0, SIGUSR1) != 0) abort();
    wait_for_stop(child);
  }
  return !was_done;
}

// In a child of its own: the program itself is not traced.
static void everywhere(const char* what, void (*handler)(void)) {
  fflush(stdout);
  const pid_t child = fork();
  if (child < 0) abort();
  if (child == 0) {
    in_handler = handler;
    if (ptrace(PTRACE_TRACEME, 0, 0, 0) != 0) _exit(1);
    for (;;) one_call();
  }
  int steps = 0;
  while (interrupt_after(child, steps) && steps < kMostSteps) {
    ++steps;
    ptrace(PTRACE_CONT, child, 0, 0);
  }
  kill(child, SIGKILL);
  waitpid(child, NULL, 0);
  printf("%s: %s\n", what, steps > 10 && steps < kMostSteps ? "at every instruction" : "not done");
}

int main(void) {
  struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_NODEFER};
  if (sigaction(SIGUSR1, &action, NULL) != 0) abort();
  everywhere("calls", calls);
  everywhere("jumps", jumps);
  everywhere("forks", forks);
  return 0;
}
