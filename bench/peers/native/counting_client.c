// Preloaded together with libcalltap.so: one callback on every function of the program.
//
//   PEER_CALLS    a file that the number of calls goes to
//   PEER_TOGGLE   a file: instead, attach and detach PEER_ROUNDS times, milliseconds a pair and line
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "calltap/calltap.h"
#include "thread_counts.h"

static void on_call(uint64_t ip, uint64_t parent_ip, ct_ops* ops, ct_regs* regs) {
  (void)ip;
  (void)parent_ip;
  (void)ops;
  (void)regs;
  count_call();
}

static void check(int result) {
  if (result == 0) return;
  fprintf(stderr, "counting_client: %s\n", ct_error_text());
  _Exit(1);
}

// Without floating point: the handler's file is compiled for general registers only.
static long microseconds(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1000000L + t.tv_nsec / 1000;
}

static void toggle(ct_ops* ops, const char* path) {
  const char* rounds = getenv("PEER_ROUNDS");
  FILE* out = fopen(path, "w");
  if (out == NULL || rounds == NULL) _Exit(1);
  for (int i = 0; i < atoi(rounds); ++i) {
    const long start = microseconds();
    check(ct_register_ops(ops));
    const long middle = microseconds();
    check(ct_unregister_ops(ops));
    const long end = microseconds();
    fprintf(out, "%ld.%03ld %ld.%03ld\n", (middle - start) / 1000, (middle - start) % 1000,
            (end - middle) / 1000, (end - middle) % 1000);
  }
  fclose(out);
}

__attribute__((constructor)) static void begin(void) {
  ct_ops* ops = ct_new_callback(on_call, NULL, CT_GENERAL_REGS_ONLY);
  char pattern[256];
  snprintf(pattern, sizeof pattern, "%s:*", program_invocation_short_name);
  check(ct_set_filter(ops, pattern, 1));
  if (getenv("PEER_TOGGLE") != NULL) return toggle(ops, getenv("PEER_TOGGLE"));
  check(ct_register_ops(ops));
}

__attribute__((destructor)) static void finish(void) { write_calls(); }
