// Calls tick() so often a second, for so many seconds, in so many threads, when a line comes; says how often
// it did.
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

__attribute__((noinline)) unsigned tick(unsigned n) {
  __asm__ volatile("" ::: "memory");
  return n + 1;
}

static double rate, seconds;

static double now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static void* run(void* argument) {
  unsigned long calls = 0;
  const double begin = now();
  for (double passed = 0; passed < seconds; passed = now() - begin) {
    const unsigned long due = (unsigned long)(passed * rate);
    for (unsigned n = 0; n < 1000 && calls < due; ++n) calls += tick(n) - n;
    if (calls >= due) nanosleep(&(struct timespec){0, 200000}, NULL);
  }
  *(unsigned long*)argument = calls;
  return NULL;
}

int main(int argc, char** argv) {
  const int threads = argc > 3 ? atoi(argv[3]) : 1;
  rate = argc > 1 ? atof(argv[1]) / threads : 1e6;
  seconds = argc > 2 ? atof(argv[2]) : 5;
  puts("ready");
  fflush(stdout);
  while (getchar() == '\n') {
    pthread_t ids[64];
    unsigned long calls[64], all = 0;
    for (int i = 0; i < threads; ++i) pthread_create(&ids[i], NULL, run, &calls[i]);
    for (int i = 0; i < threads; ++i) pthread_join(ids[i], NULL), all += calls[i];
    printf("%lu\n", all);
    fflush(stdout);
  }
  return 0;
}
