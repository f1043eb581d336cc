// As many calls as its first argument says, then what the second one says: "exit N", "signal N", "echo"
// (standard input to standard output), "forever" (after the line "ready"), "catch" (the same, and an
// interrupt ends it with status 9).
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "calls.h"

static volatile sig_atomic_t interrupted;

HOOKED static unsigned leaf(unsigned n) {
  CALLED();
  return n + 1;
}

HOOKED static unsigned work(unsigned n) {
  CALLED();
  return leaf(n) ^ 1;
}

HOOKED static void on_interrupt(int number) {
  CALLED();
  (void)number;
  interrupted = 1;
}

HOOKED static void call_until_interrupted(void) {
  CALLED();
  printf("ready\n");
  fflush(stdout);
  for (unsigned n = 0; !interrupted;) n = work(n);
}

HOOKED static void echo(void) {
  CALLED();
  char bytes[4096];
  for (ssize_t n; (n = read(0, bytes, sizeof bytes)) > 0;) {
    if (write(1, bytes, (size_t)n) != n) exit(1);
  }
}

HOOKED int main(int argc, char** argv) {
  CALLED();
  unsigned n = 0;
  const unsigned long calls = argc > 1 ? strtoul(argv[1], NULL, 10) : 0;
  const char* then = argc > 2 ? argv[2] : "exit";
  const int number = argc > 3 ? atoi(argv[3]) : 0;
  for (unsigned long i = 0; i < calls; ++i) n = work(n);
  if (strcmp(then, "signal") == 0) raise(number);
  if (strcmp(then, "echo") == 0) echo();
  if (strcmp(then, "catch") == 0) signal(SIGINT, on_interrupt);
  if (strcmp(then, "catch") == 0 || strcmp(then, "forever") == 0) {
    call_until_interrupted();
    return 9;
  }
  return number;
}
