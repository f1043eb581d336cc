// The leaf loop in several threads at once, each pinned to a CPU of its own as long as there are enough.
//
//   threads THREADS COUNT     COUNT calls in each; prints the CPU nanoseconds of a call
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { kMost = 64 };

struct caller {
  pthread_t thread;
  long number;
  long count;
  double cpu_ns;
};

static pthread_barrier_t all_are_there;

__attribute__((noinline)) static long leaf(long x) {
  __asm__ volatile("" : "+r"(x));
  return x + 1;
}

static double thread_nanoseconds(void) {
  struct timespec t;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static void pin(long nth) {
  cpu_set_t allowed, one;
  sched_getaffinity(0, sizeof allowed, &allowed);
  nth %= CPU_COUNT(&allowed);
  for (int cpu = CPU_SETSIZE - 1; cpu >= 0; --cpu) {
    if (!CPU_ISSET(cpu, &allowed) || nth-- != 0) continue;
    CPU_ZERO(&one);
    CPU_SET(cpu, &one);
    pthread_setaffinity_np(pthread_self(), sizeof one, &one);
    return;
  }
}

static void* call(void* argument) {
  struct caller* me = argument;
  pin(me->number);
  pthread_barrier_wait(&all_are_there);
  const double start = thread_nanoseconds();
  long x = 0;
  for (long i = 0; i < me->count; ++i) x = leaf(x);
  __asm__ volatile("" : : "r"(x));
  me->cpu_ns = thread_nanoseconds() - start;
  return NULL;
}

int main(int argc, char** argv) {
  const long threads = argc == 3 ? atol(argv[1]) : 0;
  if (threads < 1 || threads > kMost) return 2;
  struct caller callers[kMost];
  pthread_barrier_init(&all_are_there, NULL, (unsigned)threads);
  for (long i = 0; i < threads; ++i) {
    callers[i].number = i;
    callers[i].count = atol(argv[2]);
    if (pthread_create(&callers[i].thread, NULL, call, &callers[i]) != 0) return 1;
  }
  double cpu_ns = 0;
  for (long i = 0; i < threads; ++i) {
    pthread_join(callers[i].thread, NULL);
    cpu_ns += callers[i].cpu_ns;
  }
  printf("%.4f\n", cpu_ns / (double)threads / (double)callers[0].count);
  return 0;
}
