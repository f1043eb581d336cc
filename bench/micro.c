// The smallest programs that make calls, and the floors that their costs are compared with.
//
//   micro WHAT COUNT [THREADS]     prints wall and CPU nanoseconds for one of COUNT, and how many there were
//
// Each thread does it COUNT times on a processor of its own, and the times are means of all.
//
//   call    a call and a return of a function that no build has a sled in
//   clock   one read of the clock that recordings use
//   leaf    a function that does nothing else
//   fib     recursion; COUNT is rounded down to the calls of a whole tree
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <x86intrin.h>

long bare_call(long x);
__asm__(
    ".text\n.p2align 6\n.type bare_call, @function\n"
    "bare_call: leaq 1(%rdi), %rax\n ret\n.size bare_call, . - bare_call\n");

__attribute__((noinline)) static long leaf(long x) {
  __asm__ volatile("" : "+r"(x));
  return x + 1;
}

__attribute__((noinline)) static long fib(long n) { return n < 2 ? 1 : fib(n - 1) + fib(n - 2); }

static long run_bare(long count) {
  long x = 0;
  for (long i = 0; i < count; ++i) x = bare_call(x);
  return x;
}

static long run_clock(long count) {
  unsigned long x = 0;
  for (long i = 0; i < count; ++i) x += __rdtsc();
  return (long)x;
}

static long run_leaf(long count) {
  long x = 0;
  for (long i = 0; i < count; ++i) x = leaf(x);
  return x;
}

/// The calls of fib(n) are 2 fib(n) - 1.
static long fib_depth(long count) {
  long n = 1;
  for (long a = 1, b = 1; 2 * (a + b) - 1 <= count; ++n) {
    const long next = a + b;
    a = b;
    b = next;
  }
  return n;
}

static long nanoseconds(clockid_t clock) {
  struct timespec t;
  clock_gettime(clock, &t);
  return t.tv_sec * 1000000000L + t.tv_nsec;
}

static long (*run)(long);
static long argument;
static pthread_barrier_t begin;

struct Worker {
  pthread_t thread;
  int number;
  double wall_ns;
  double cpu_ns;
  long result;
};

/// The first thread stays where it is; see run_cost.c.
static void* work(void* data) {
  struct Worker* self = data;
  if (self->number > 0) {
    cpu_set_t first, own;
    sched_getaffinity(0, sizeof first, &first);
    CPU_ZERO(&own);
    for (int cpu = 0, left = self->number; cpu < CPU_SETSIZE && left > 0; ++cpu) {
      if (CPU_ISSET(cpu, &first)) continue;
      CPU_ZERO(&own);
      CPU_SET(cpu, &own);
      --left;
    }
    sched_setaffinity(0, sizeof own, &own);
  }
  pthread_barrier_wait(&begin);
  const long wall = nanoseconds(CLOCK_MONOTONIC);
  const long cpu = nanoseconds(CLOCK_THREAD_CPUTIME_ID);
  self->result = run(argument);
  self->cpu_ns = (double)(nanoseconds(CLOCK_THREAD_CPUTIME_ID) - cpu);
  self->wall_ns = (double)(nanoseconds(CLOCK_MONOTONIC) - wall);
  return NULL;
}

int main(int argc, char** argv) {
  enum { kMostThreads = 64 };
  const int threads = argc == 4 ? atoi(argv[3]) : 1;
  if (argc < 3 || argc > 4 || threads < 1 || threads > kMostThreads) return 2;
  long count = atol(argv[2]);
  argument = count;
  if (strcmp(argv[1], "call") == 0) run = run_bare;
  if (strcmp(argv[1], "clock") == 0) run = run_clock;
  if (strcmp(argv[1], "leaf") == 0) run = run_leaf;
  if (strcmp(argv[1], "fib") == 0) {
    run = fib;
    argument = fib_depth(count);
  }
  if (run == NULL) return 2;
  struct Worker workers[kMostThreads] = {0};
  pthread_barrier_init(&begin, NULL, (unsigned)threads);
  for (int i = threads - 1; i >= 0; --i) {
    workers[i].number = i;
    if (i > 0) {
      if (pthread_create(&workers[i].thread, NULL, work, &workers[i]) != 0) return 1;
    } else {
      work(&workers[i]);
    }
  }
  double wall_ns = 0;
  double cpu_ns = 0;
  for (int i = 0; i < threads; ++i) {
    if (i > 0) pthread_join(workers[i].thread, NULL);
    wall_ns += workers[i].wall_ns / threads;
    cpu_ns += workers[i].cpu_ns / threads;
  }
  if (run == fib) count = 2 * workers[0].result - 1;
  printf("%.4f %.4f %ld\n", wall_ns / (double)count, cpu_ns / (double)count, count);
  return 0;
}
