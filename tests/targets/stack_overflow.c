// A stack that overflows in a hooked function: the program's own SIGSEGV handler, on its alternative stack,
// gets the signal, calls hooked functions, and jumps out.
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "calls.h"

static sigjmp_buf back;
static volatile int overflows;

HOOKED static void in_handler(void) {
  CALLED();
  ++overflows;
}

HOOKED static void on_fault(int number) {
  CALLED();
  (void)number;
  in_handler();
  siglongjmp(back, 1);
}

// Not counted by itself: the fault may come before its count.
HOOKED static unsigned long endless(unsigned long n) {
  volatile char space[4096];
  space[0] = (char)n;
  const unsigned long value = endless(n + 1);
  NOT_A_TAIL_CALL();
  return value + (unsigned char)space[0];
}

HOOKED static void overflow(void) {
  CALLED();
  if (sigsetjmp(back, 1) == 0) endless(0);
}

int main(void) {
  static char alternative[65536];
  const stack_t stack = {.ss_sp = alternative, .ss_size = sizeof alternative};
  struct sigaction action = {0};
  action.sa_handler = on_fault;
  action.sa_flags = SA_ONSTACK;
  if (sigaltstack(&stack, NULL) != 0 || sigaction(SIGSEGV, &action, NULL) != 0) abort();
  for (int i = 0; i < 20; ++i) overflow();
  printf("overflows %d\n", overflows);
  return 0;
}
