// What no tool can go below, in nanoseconds: prints one line of JSON. CPU time, but for the stop, which two
// processes do.
//
//   stream    8 bytes stored past the cache, as part of 64 MiB
//   copy      8 bytes copied by memcpy(), as part of 64 MiB: what takes events out of a buffer
//   trap      an int3 whose signal handler returns
//   stop      an int3 at which a tracer stops the process and lets it go on, as debuggers do
#define _GNU_SOURCE
#include <immintrin.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { kBytes = 64 << 20 };

static double read_clock(clockid_t clock) {
  struct timespec t;
  clock_gettime(clock, &t);
  return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static double nanoseconds(void) { return read_clock(CLOCK_PROCESS_CPUTIME_ID); }

static char* memory(void) {
  char* bytes = mmap(NULL, kBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
  if (bytes == MAP_FAILED) exit(1);
  return bytes;
}

static double stream(char* to) {
  const double start = nanoseconds();
  for (long i = 0; i < kBytes; i += 8) _mm_stream_si64((long long*)(to + i), i);
  _mm_sfence();
  return (nanoseconds() - start) / (kBytes / 8);
}

static double copy(char* to, const char* from) {
  const double start = nanoseconds();
  memcpy(to, from, kBytes);
  return (nanoseconds() - start) / (kBytes / 8);
}

static void on_trap(int signal) { (void)signal; }

static double trap(long count) {
  signal(SIGTRAP, on_trap);
  const double start = nanoseconds();
  for (long i = 0; i < count; ++i) __asm__ volatile("int3");
  return (nanoseconds() - start) / (double)count;
}

static double stop(long count) {
  const pid_t child = fork();
  if (child < 0) return 0;
  if (child == 0) {
    signal(SIGTRAP, SIG_DFL);
    if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) != 0) _exit(1);
    for (long i = 0; i <= count; ++i) __asm__ volatile("int3");
    _exit(0);
  }
  int status = 0;
  double start = 0;
  long stops = 0;
  while (waitpid(child, &status, 0) == child && WIFSTOPPED(status)) {
    if (stops++ == 0) start = read_clock(CLOCK_MONOTONIC);
    if (ptrace(PTRACE_CONT, child, NULL, NULL) != 0) break;
  }
  return stops < 2 ? 0 : (read_clock(CLOCK_MONOTONIC) - start) / (double)(stops - 1);
}

int main(void) {
  char* to = memory();
  char* from = memory();
  memset(from, 1, kBytes);
  stream(to);  // the machine's memory, not only ours, is there then
  const double streamed = stream(to);
  const double copied = copy(to, from);
  printf("{\"stream\": %.4f, \"copy\": %.4f, \"trap\": %.1f, \"stop\": %.1f}\n", streamed, copied,
         trap(20000), stop(5000));
  return 0;
}
