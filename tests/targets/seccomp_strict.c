// Strict seccomp: from some point on the process may only read, write and exit, and so may the runtime inside
// it. More calls than one packet of events holds: in this mode a full buffer cannot be waited for.
#include <linux/seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "calls.h"

HOOKED static unsigned work(unsigned n) {
  CALLED();
  return n + 1;
}

int main(void) {
  unsigned n = 0;
  for (int i = 0; i < 100; ++i) n = work(n);
  printf("strict soon\n");
  fflush(stdout);
  if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT) != 0) abort();
  for (int i = 0; i < 50000; ++i) n = work(n);
  const char text[] = "strict\n";
  if (write(1, text, sizeof text - 1) < 0) n = 0;
  syscall(SYS_exit, n == 0 ? 1 : 11);
  return 0;
}
