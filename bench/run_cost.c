// Linked into every measured program: pins it to the CPU in BENCH_CPU, and at exit appends what the run cost
// to the file in BENCH_COST, one line of JSON. Never hooked itself. From constructor to destructor, so that
// loading and patching, which happen once, are not part of the time.
#define _GNU_SOURCE
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define NEVER_HOOKED __attribute__((patchable_function_entry(0), no_instrument_function))

static long wall_start;
static long cpu_start;

NEVER_HOOKED static long nanoseconds(clockid_t clock) {
  struct timespec t;
  clock_gettime(clock, &t);
  return t.tv_sec * 1000000000L + t.tv_nsec;
}

NEVER_HOOKED static long status_kib(const char* key) {
  char line[256];
  long kib = 0;
  FILE* status = fopen("/proc/self/status", "r");
  while (status != NULL && fgets(line, sizeof line, status) != NULL) {
    if (strncmp(line, key, strlen(key)) == 0) kib = atol(line + strlen(key));
  }
  if (status != NULL) fclose(status);
  return kib;
}

NEVER_HOOKED __attribute__((constructor)) static void start(void) {
  const char* cpu = getenv("BENCH_CPU");
  if (cpu != NULL) {
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(atoi(cpu), &set);
    sched_setaffinity(0, sizeof set, &set);
  }
  wall_start = nanoseconds(CLOCK_MONOTONIC);
  cpu_start = nanoseconds(CLOCK_PROCESS_CPUTIME_ID);
}

NEVER_HOOKED __attribute__((destructor)) static void end(void) {
  const long wall = nanoseconds(CLOCK_MONOTONIC) - wall_start;
  const long cpu = nanoseconds(CLOCK_PROCESS_CPUTIME_ID) - cpu_start;
  const char* path = getenv("BENCH_COST");
  FILE* out = path == NULL ? NULL : fopen(path, "a");
  if (out == NULL) return;
  fprintf(
      out,
      "{\"wall_ns\": %ld, \"cpu_ns\": %ld, \"anonymous_kib\": %ld, \"file_kib\": %ld, \"shared_kib\": %ld, "
      "\"peak_kib\": %ld}\n",
      wall, cpu, status_kib("RssAnon:"), status_kib("RssFile:"), status_kib("RssShmem:"),
      status_kib("VmHWM:"));
  fclose(out);
}
