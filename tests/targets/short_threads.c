// As many threads one after the other as its argument says, each with a name of its own: "short-0",
// "short-1", ...
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <time.h>

#include "calls.h"

enum { kCalls = 5, kBetweenPauses = 500 };

HOOKED static unsigned work(unsigned n) {
  CALLED();
  return n * 3 + 1;
}

HOOKED static void* body(void* argument) {
  CALLED();
  unsigned* value = argument;
  for (int i = 0; i < kCalls; ++i) *value = work(*value);
  return NULL;
}

HOOKED static unsigned run_thread(unsigned number) {
  CALLED();
  char name[16];
  snprintf(name, sizeof name, "short-%u", number);
  prctl(PR_SET_NAME, name);  // the new thread inherits it
  unsigned value = number;
  pthread_t thread;
  if (pthread_create(&thread, NULL, body, &value) != 0 || pthread_join(thread, NULL) != 0) abort();
  return value;
}

HOOKED int main(int argc, char** argv) {
  CALLED();
  const unsigned threads = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 10) : 0;
  // Time for the tool to notice that threads have ended, so that later ones get their places.
  const struct timespec pause = {.tv_nsec = 100000000};
  unsigned long sum = 0;
  for (unsigned i = 0; i < threads; ++i) {
    sum += run_thread(i);
    if (i % kBetweenPauses == kBetweenPauses - 1) nanosleep(&pause, NULL);
  }
  printf("%lu\n", sum);
  return 0;
}
