// Three threads that work and sleep in turn, until standard input ends.
#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

__attribute__((noinline, noclone)) unsigned leaf(unsigned n) {
  __asm__ volatile("" ::: "memory");
  return n ^ 5;
}

__attribute__((noinline, noclone)) unsigned work(unsigned n) {
  unsigned sum = 0;
  for (unsigned i = 0; i < n; ++i) sum += leaf(i);
  __asm__ volatile("" ::: "memory");
  return sum;
}

static void* run(void* argument) {
  for (;;) {
    work(100);
    usleep(1000);
  }
  return argument;
}

int main(void) {
  pthread_t thread;
  for (int i = 0; i < 3; ++i) pthread_create(&thread, NULL, run, NULL);
  puts("ready");
  fflush(stdout);
  char c;
  while (read(0, &c, 1) > 0) {
  }
  return 0;
}
