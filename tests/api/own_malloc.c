// Handlers that print and allocate where the allocator is the program's own and hooked by themselves.
#define _GNU_SOURCE
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"

enum { kArenaBytes = 256 << 20 };
static char arena[kArenaBytes] __attribute__((aligned(16)));
static size_t used;
static unsigned long allocations;

HOOKED void* malloc(size_t bytes) {
  const size_t start = __atomic_fetch_add(&used, (bytes + 31) & ~(size_t)15, __ATOMIC_RELAXED);
  __atomic_fetch_add(&allocations, 1, __ATOMIC_RELAXED);
  if (start + bytes + 32 > kArenaBytes) return NULL;
  memcpy(arena + start, &bytes, sizeof bytes);
  return arena + start + 16;
}
HOOKED void free(void* block) { (void)block; }
HOOKED void* calloc(size_t count, size_t bytes) { return malloc(count * bytes); }
HOOKED void* realloc(void* block, size_t bytes) {
  char* larger = malloc(bytes);
  if (block == NULL || larger == NULL) return larger;
  size_t old;
  memcpy(&old, (char*)block - 16, sizeof old);
  return memcpy(larger, block, old < bytes ? old : bytes);
}

static unsigned long printed;
static void print_and_allocate(void) {
  char text[64];
  char* copy = NULL;
  snprintf(text, sizeof text, "%f %lu", 1.5, printed);
  if (asprintf(&copy, "%s", text) < 0) return;
  void* volatile block = malloc(100);
  free(block);
  free(copy);
  __atomic_fetch_add(&printed, 1, __ATOMIC_RELAXED);
}
static int on_entry(uint64_t ip, uint64_t parent_ip, ct_ops* ops, ct_regs* regs, void* data) {
  (void)ip, (void)parent_ip, (void)ops, (void)regs, (void)data;
  print_and_allocate();
  return 0;
}
static void on_exit_of_call(uint64_t ip, uint64_t parent_ip, ct_ops* ops, ct_regs* regs, void* data) {
  (void)ip, (void)parent_ip, (void)ops, (void)regs, (void)data;
  print_and_allocate();
}

static void* allocate_for_a_while(void* argument) {
  for (int i = 0; i < 500; ++i) {
    char* volatile text = strdup("text");
    free(text);
  }
  return argument;
}

static void run_threads(void) {
  pthread_t threads[3];
  for (int i = 0; i < 3; ++i) CHECK_EQUAL(pthread_create(&threads[i], NULL, allocate_for_a_while, NULL), 0);
  for (int i = 0; i < 3; ++i) pthread_join(threads[i], NULL);
}

static void check_handlers(ct_ops* ops, unsigned handlers_a_call) {
  CHECK_OK(ct_set_filter(ops, "*alloc", 0));
  CHECK_OK(ct_set_filter(ops, "free", 0));
  CHECK_OK(ct_register_ops(ops));
  run_threads();
  CHECK_OK(ct_unregister_ops(ops));
  CHECK_EQUAL(printed, handlers_a_call * ct_ops_hits(ops));
  CHECK(ct_ops_hits(ops) >= 3 * 500 * 2);
  // In each handler: two allocations at least, and two that are given back.
  CHECK(ct_ops_missed(ops) >= 4 * printed);
  CHECK_OK(ct_free_ops(ops));
}

static void on_call(uint64_t ip, uint64_t parent_ip, ct_ops* ops, ct_regs* regs) {
  on_entry(ip, parent_ip, ops, regs, NULL);
}
TEST(printing_and_allocating_in_a_callback_of_the_allocator) {
  check_handlers(ct_new_callback(on_call, NULL, 0), 1);
}
TEST(printing_and_allocating_in_entry_handlers_of_the_allocator) {
  check_handlers(ct_new_probe(on_entry, NULL, 0, NULL, 0), 1);
}
TEST(printing_and_allocating_in_exit_handlers_of_the_allocator) {
  check_handlers(ct_new_probe(NULL, on_exit_of_call, 0, NULL, 0), 1);
}
TEST(printing_and_allocating_in_handlers_of_the_allocator) {
  check_handlers(ct_new_probe(on_entry, on_exit_of_call, 0, NULL, 0), 2);
}

static unsigned long replaced;
static void* replaced_malloc(size_t bytes) {
  // A function like any other: what it calls is replaced again.
  static _Thread_local int depth;
  __atomic_fetch_add(&replaced, 1, __ATOMIC_RELAXED);
  if (depth++ == 0) print_and_allocate();
  --depth;
  void* (*original)(size_t);
  *(void**)&original = ct_original((void*)malloc);
  return original(bytes);
}
TEST(printing_and_allocating_in_a_replacement_of_malloc) {
  ct_ops* ops = ct_new_ops(NULL, 0);
  CHECK_OK(ct_set_filter(ops, "malloc", 0));
  CHECK_OK(ct_register_redirect(ops, (void*)replaced_malloc));
  run_threads();
  CHECK_OK(ct_unregister_redirect(ops));
  CHECK(printed >= 3 * 500);
  CHECK(replaced >= 3 * printed);  // each prints, and allocates twice at least
  CHECK_OK(ct_free_ops(ops));
}
