// Recursion as deep as the stack carries: most of the main thread's, and of a thread with 256 MiB.
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "calls.h"

enum { kThreadStackMib = 256 };

HOOKED static unsigned long descend(const char* floor) {
  CALLED();
  volatile char local[96];
  local[0] = 1;
  const char* here = __builtin_frame_address(0);
  if (here < floor) return 1;
  const unsigned long depth = descend(floor);
  NOT_A_TAIL_CALL();
  return depth + (unsigned char)local[0];
}

HOOKED static void* on_large_stack(void* argument) {
  CALLED();
  const char* here = __builtin_frame_address(0);
  *(unsigned long*)argument = descend(here - (kThreadStackMib * 15UL / 16 << 20));
  return NULL;
}

int main(void) {
  struct rlimit limit;
  getrlimit(RLIMIT_STACK, &limit);
  const unsigned long stack = limit.rlim_cur == RLIM_INFINITY ? 8UL << 20 : limit.rlim_cur;
  const char* here = __builtin_frame_address(0);
  unsigned long depth = 0;
  for (int i = 0; i < 3; ++i) depth = descend(here - stack / 16 * 15);
  printf("main %s\n", depth > stack / 1024 ? "deep" : "shallow");

  pthread_t thread;
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, (size_t)kThreadStackMib << 20);
  if (pthread_create(&thread, &attributes, on_large_stack, &depth) != 0) abort();
  pthread_join(thread, NULL);
  printf("thread %s\n", depth > 1000000 ? "deep" : "shallow");
  return 0;
}
