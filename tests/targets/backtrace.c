// backtrace() through hooked frames shows main, and the same sequence as without hooks, also from a signal
// handler. The program prints the names of its own functions only, as the runtime's frames come in between.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <execinfo.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "calls.h"

void print_trace(const char* title) {
  void* frames[128];
  const int count = backtrace(frames, 128);
  Dl_info program;
  if (dladdr((void*)print_trace, &program) == 0) abort();
  printf("%s:", title);
  for (int i = 0; i < count; ++i) {
    Dl_info info;
    if (dladdr((char*)frames[i] - 1, &info) == 0 || info.dli_fbase != program.dli_fbase) continue;
    if (info.dli_sname != NULL) printf(" %s", info.dli_sname);
  }
  printf("\n");
}

HOOKED void on_signal(int number) {
  CALLED();
  (void)number;
  print_trace("handler");
}

HOOKED int leaf(int how) {
  CALLED();
  if (how == 0) print_trace("leaf");
  if (how == 1) raise(SIGUSR1);
  NOT_A_TAIL_CALL();
  return how;
}

HOOKED int recurse(int depth, int how) {
  CALLED();
  const int value = depth == 0 ? leaf(how) : recurse(depth - 1, how);
  NOT_A_TAIL_CALL();
  return value + 1;
}

HOOKED int first(int how) {
  CALLED();
  const int value = recurse(5, how);
  NOT_A_TAIL_CALL();
  return value;
}

int main(void) {
  signal(SIGUSR1, on_signal);
  int sum = 0;
  for (int i = 0; i < 3; ++i) {
    sum += first(0);
    sum += first(1);
  }
  printf("%d\n", sum);
  return 0;
}
