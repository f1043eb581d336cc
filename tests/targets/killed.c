// Calls for ever, from several threads, and says through its standard output how many calls are certainly
// done: a line with a number of calls of `work` by the main thread, written after they returned.
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "calls.h"

HOOKED static unsigned leaf(unsigned n) {
  CALLED();
  return n + 1;
}

HOOKED static unsigned work(unsigned n) {
  CALLED();
  return leaf(leaf(n));
}

HOOKED static void* other_thread(void* argument) {
  CALLED();
  for (unsigned n = 0;;) n = leaf(n);
  return argument;
}

int main(void) {
  pthread_t thread;
  if (pthread_create(&thread, NULL, other_thread, NULL) != 0) abort();
  unsigned n = 0;
  for (unsigned long calls = 1;; ++calls) {
    n = work(n);
    if (calls % 1000 == 0) dprintf(STDOUT_FILENO, "%lu\n", calls);
  }
}
