// Clients that come and go for ever cost no memory: after some rounds the process has the mappings and the
// resident memory that it had before. STRESS_ROUNDS=300000 in the environment makes it long.
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "check.h"

HOOKED long function(long x) {
  __asm__ volatile("" : "+r"(x));
  return x + 1;
}
HOOKED long other_function(long x) {
  __asm__ volatile("" : "+r"(x));
  return x + 2;
}

#define ONE(n)                                               \
  __attribute__((noinline, used)) long of_many_##n(long x) { \
    __asm__ volatile("" : "+r"(x));                          \
    return x;                                                \
  }
// clang-format off
#define TEN(n) \
  ONE(n##0) ONE(n##1) ONE(n##2) ONE(n##3) ONE(n##4) ONE(n##5) ONE(n##6) ONE(n##7) ONE(n##8) ONE(n##9)
#define HUNDRED(n) \
  TEN(n##0) TEN(n##1) TEN(n##2) TEN(n##3) TEN(n##4) TEN(n##5) TEN(n##6) TEN(n##7) TEN(n##8) TEN(n##9)
HUNDRED(0) HUNDRED(1) HUNDRED(2) HUNDRED(3) HUNDRED(4) HUNDRED(5) HUNDRED(6) HUNDRED(7) HUNDRED(8) HUNDRED(9)
    // clang-format on

    static void on_call(uint64_t ip, uint64_t parent, ct_ops* ops, ct_regs* regs) {
  (void)ip, (void)parent, (void)ops, (void)regs;
}
static int on_entry(uint64_t ip, uint64_t parent, ct_ops* ops, ct_regs* regs, void* data) {
  (void)ip, (void)parent, (void)ops, (void)regs, (void)data;
  return 0;
}
static void on_exit_of(uint64_t ip, uint64_t parent, ct_ops* ops, ct_regs* regs, void* data) {
  (void)ip, (void)parent, (void)ops, (void)regs, (void)data;
}

struct memory {
  long mappings;
  long resident_kib;
};

/// Does not allocate: that would be measured.
static struct memory memory_in_use(void) {
  static char line[4096];
  struct memory now = {0, 0};
  FILE* maps = fopen("/proc/self/smaps", "r");
  while (fgets(line, sizeof line, maps) != NULL) {
    long kib;
    if (sscanf(line, "Rss: %ld", &kib) == 1) {
      ++now.mappings;
      now.resident_kib += kib;
    }
  }
  fclose(maps);
  return now;
}

static long rounds(long usual) {
  const char* wanted = getenv("STRESS_ROUNDS");
  return wanted == NULL ? usual : atol(wanted);
}

/// The first third is for what is made once.
static void check_constant(void (*round)(long), long usual) {
  const long count = rounds(usual);
  if (count != usual) alarm(0);  // as long as one likes
  for (long i = 0; i < count / 3; ++i) round(i);
  const struct memory before = memory_in_use();
  for (long i = count / 3; i < count; ++i) round(i);
  const struct memory after = memory_in_use();
  printf("%ld rounds: %ld mappings and %ld KiB, then %ld and %ld\n", count, before.mappings,
         before.resident_kib, after.mappings, after.resident_kib);
  CHECK(after.mappings <= before.mappings + 1);
  CHECK(after.resident_kib <= before.resident_kib + 64);
}

static ct_ops* client(bool probe, const char* filter) {
  ct_ops* ops = probe ? ct_new_probe(on_entry, on_exit_of, 8, NULL, CT_GENERAL_REGS_ONLY)
                      : ct_new_callback(on_call, NULL, CT_GENERAL_REGS_ONLY);
  CHECK_OK(ct_set_filter(ops, filter, 0));
  return ops;
}

static void come_and_go(long i) {
  ct_ops* ops = client(i % 2 != 0, "function");
  CHECK_OK(ct_register_ops(ops));
  function(i);
  CHECK_OK(ct_free_ops(ops));
}
TEST(clients_that_come_and_go) { check_constant(come_and_go, 3000); }

static ct_ops* standing[3];
static void attach_standing(void) {
  for (int i = 0; i < 3; ++i) {
    standing[i] = client(i != 0, "*function");
    CHECK_OK(ct_register_ops(standing[i]));
  }
}
TEST(clients_that_come_and_go_among_others) {
  attach_standing();
  check_constant(come_and_go, 3000);
}

static void change_filter(long i) {
  CHECK_OK(ct_set_filter(standing[i % 3], i / 3 % 2 == 0 ? "function" : "*function", 1));
  function(i);
  other_function(i);
}
TEST(filters_that_change_and_nobody_is_unregistered) {
  attach_standing();
  check_constant(change_filter, 30000);
}

static void disable_and_enable(long i) {
  CHECK_OK(ct_disable_ops(standing[i % 3]));
  CHECK_OK(ct_enable_ops(standing[i % 3]));
  function(i);
}
TEST(clients_that_are_disabled_and_enabled) {
  attach_standing();
  check_constant(disable_and_enable, 6000);
}

static void fail_to_register(long i) {
  ct_ops* ops = ct_new_callback(on_call, NULL, i % 2 != 0 ? CT_IPMODIFY : 0);
  CHECK_OK(ct_set_filter(ops, i % 2 != 0 ? "*function" : "nowhere", 0));
  CHECK(ct_register_ops(ops) != 0);
  CHECK_OK(ct_free_ops(ops));
}
TEST(registrations_that_fail) {
  attach_standing();
  ct_ops* redirect = ct_new_callback(on_call, NULL, CT_IPMODIFY);
  CHECK_OK(ct_set_filter(redirect, "other_function", 0));
  CHECK_OK(ct_register_ops(redirect));
  check_constant(fail_to_register, 30000);
}

static void a_hundred_at_once(long i) {
  ct_ops* many[100];
  for (int k = 0; k < 100; ++k) CHECK_OK(ct_register_ops(many[k] = client(k % 2 != 0, "function")));
  function(i);
  for (int k = 0; k < 100; ++k) CHECK_OK(ct_free_ops(many[(k * 37) % 100]));
}
TEST(a_hundred_clients_of_a_function) { check_constant(a_hundred_at_once, 15); }

enum { kManyClients = 1000 };
static ct_ops* many_clients[kManyClients];
static unsigned long handlers_run;
static unsigned long exits_run;
static void count_call(uint64_t ip, uint64_t parent, ct_ops* ops, ct_regs* regs) {
  (void)ip, (void)parent, (void)regs;
  ++*(unsigned*)ct_ops_user(ops);
  ++handlers_run;
}
static int count_entry(uint64_t ip, uint64_t parent, ct_ops* ops, ct_regs* regs, void* data) {
  *(uint64_t*)data = (uintptr_t)ops;
  count_call(ip, parent, ops, regs);
  return 0;
}
static void count_exit(uint64_t ip, uint64_t parent, ct_ops* ops, ct_regs* regs, void* data) {
  (void)ip, (void)parent, (void)regs;
  exits_run += *(uint64_t*)data == (uintptr_t)ops;
}

/// Three calls are seen by all clients; after every second has left, in the order of `step`, three more by
/// the others.
static void a_thousand_at_once(long i) {
  static unsigned calls[kManyClients];
  const int step = i % 2 == 0 ? 37 : 1;
  memset(calls, 0, sizeof calls);
  handlers_run = exits_run = 0;
  const unsigned flags = i % 3 == 0 ? 0 : CT_GENERAL_REGS_ONLY;
  for (int k = 0; k < kManyClients; ++k) {
    many_clients[k] = k % 2 == 0 ? ct_new_callback(count_call, &calls[k], flags)
                                 : ct_new_probe(count_entry, count_exit, 8, &calls[k], flags);
    if (ct_set_filter(many_clients[k], "function", 0) != 0) CHECK(!"filter");
    if (ct_register_ops(many_clients[k]) != 0) CHECK(!"registered");
  }
  for (int call = 0; call < 3; ++call) CHECK_EQUAL(function(i), i + 1);
  CHECK_EQUAL(handlers_run, 3 * kManyClients);
  CHECK_EQUAL(exits_run, 3 * kManyClients / 2);
  for (int k = 0; k < kManyClients; k += 2) {
    CHECK_OK(ct_unregister_ops(many_clients[k * step % kManyClients]));
  }
  for (int call = 0; call < 3; ++call) CHECK_EQUAL(function(i), i + 1);
  CHECK_EQUAL(handlers_run, 3 * kManyClients + 3 * kManyClients / 2);
  CHECK_EQUAL(exits_run, 2 * 3 * kManyClients / 2);
  int wrong = 0;
  for (int k = 0; k < kManyClients; ++k) {
    const unsigned expected = k % 2 == 0 ? 3 : 6;
    wrong += calls[k] != expected || ct_ops_hits(many_clients[k]) != expected ||
             ct_ops_missed(many_clients[k]) != 0 || ct_ops_functions(many_clients[k]) != (size_t)(k % 2);
  }
  CHECK_EQUAL(wrong, 0);
  for (int k = 0; k < kManyClients; ++k) {
    if (ct_free_ops(many_clients[k * step % kManyClients]) != 0) CHECK(!"freed");
  }
  CHECK_EQUAL(function(i), i + 1);
  CHECK_EQUAL(handlers_run, 3 * kManyClients + 3 * kManyClients / 2);
}
TEST(a_thousand_clients_of_a_function) { check_constant(a_thousand_at_once, 9); }

static void a_thousand_functions(long i) {
  ct_ops* ops = client(i % 2 != 0, "of_many_*");
  CHECK_OK(ct_register_ops(ops));
  CHECK_EQUAL(ct_ops_functions(ops), 1000);
  CHECK_OK(ct_free_ops(ops));
}
TEST(clients_of_a_thousand_functions) { check_constant(a_thousand_functions, 60); }

static void* call_twice(void* unused) {
  function(1);
  other_function(1);
  return unused;
}
static void thread_with_handlers(long i) {
  pthread_t thread;
  pthread_create(&thread, NULL, call_twice, NULL);
  pthread_join(thread, NULL);
  if (i % 16 == 0) come_and_go(i);
}
TEST(threads_that_run_handlers_and_end) {
  attach_standing();
  check_constant(thread_with_handlers, 3000);
}
