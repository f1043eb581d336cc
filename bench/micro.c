// The smallest programs that make calls, and the floors that their costs are compared with.
//
//   micro WHAT COUNT     prints wall and CPU nanoseconds for one of COUNT, and how many there were
//
//   call    a call and a return of a function that no build has a sled in
//   clock   one read of the clock that recordings use
//   leaf    a function that does nothing else
//   fib     recursion; COUNT is rounded down to the calls of a whole tree
#define _GNU_SOURCE
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

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  long count = atol(argv[2]);
  long argument = count;
  long (*run)(long) = NULL;
  if (strcmp(argv[1], "call") == 0) run = run_bare;
  if (strcmp(argv[1], "clock") == 0) run = run_clock;
  if (strcmp(argv[1], "leaf") == 0) run = run_leaf;
  if (strcmp(argv[1], "fib") == 0) {
    run = fib;
    argument = fib_depth(count);
  }
  if (run == NULL) return 2;
  const long wall = nanoseconds(CLOCK_MONOTONIC);
  const long cpu = nanoseconds(CLOCK_THREAD_CPUTIME_ID);
  const long result = run(argument);
  const double cpu_ns = (double)(nanoseconds(CLOCK_THREAD_CPUTIME_ID) - cpu);
  const double wall_ns = (double)(nanoseconds(CLOCK_MONOTONIC) - wall);
  if (run == fib) count = 2 * result - 1;
  __asm__ volatile("" : : "r"(result));
  printf("%.4f %.4f %ld\n", wall_ns / (double)count, cpu_ns / (double)count, count);
  return 0;
}
