// A program under tight limits, set by itself: no descriptor and hardly any memory left to open or map.
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "calls.h"

HOOKED static unsigned work(unsigned n) {
  CALLED();
  return n * 7 + 1;
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
  if (pthread_create(&thread, NULL, thread_body, NULL) != 0) {
    printf("no thread\n");
    return;
  }
  pthread_join(thread, NULL);
}

// The size of the address space in bytes, without a descriptor to read it from later.
static unsigned long mapped_bytes(void) {
  unsigned long pages = 0;
  FILE* file = fopen("/proc/self/statm", "r");
  if (file == NULL || fscanf(file, "%lu", &pages) != 1) abort();
  fclose(file);
  return pages * (unsigned long)sysconf(_SC_PAGESIZE);
}

int main(void) {
  run_thread();
  // Room for the stack of one thread that has run before, and little more.
  const unsigned long bytes = mapped_bytes() + (1UL << 20);
  const struct rlimit memory = {bytes, bytes};
  const struct rlimit files = {3, 3};
  setrlimit(RLIMIT_NOFILE, &files);
  setrlimit(RLIMIT_AS, &memory);
  printf("open fails: %d\n", open("/dev/null", O_RDONLY) == -1);
  printf("large malloc fails: %d\n", malloc(64UL << 20) == NULL);
  for (int i = 0; i < 20; ++i) run_thread();
  return 0;
}
