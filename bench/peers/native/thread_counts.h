// Counts calls, each thread for itself: a counter that threads share would measure their cache lines.
#pragma once

#include <stdio.h>
#include <stdlib.h>

enum { kCountedThreads = 64 };

struct counted_thread {
  unsigned long calls;
} __attribute__((aligned(64)));

static struct counted_thread counted_threads[kCountedThreads];
static unsigned threads_counting;
static __thread unsigned long* my_calls __attribute__((tls_model("initial-exec")));

__attribute__((noinline, cold, no_instrument_function)) static unsigned long* first_call(void) {
  const unsigned mine = __atomic_fetch_add(&threads_counting, 1, __ATOMIC_RELAXED);
  my_calls = &counted_threads[mine % kCountedThreads].calls;
  return my_calls;
}

__attribute__((no_instrument_function)) static inline void count_call(void) {
  unsigned long* calls = my_calls;
  if (__builtin_expect(calls == NULL, 0)) calls = first_call();
  ++*calls;
}

/// To the file in PEER_CALLS.
__attribute__((no_instrument_function)) static inline void write_calls(void) {
  const char* path = getenv("PEER_CALLS");
  FILE* out = path == NULL ? NULL : fopen(path, "w");
  if (out == NULL) return;
  unsigned long calls = 0;
  for (int i = 0; i < kCountedThreads; ++i) calls += counted_threads[i].calls;
  fprintf(out, "%lu\n", calls);
  fclose(out);
}
