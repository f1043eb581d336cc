// Data that a probe keeps from the entry to the exit of one call: zeroed, its own, whatever happens in
// between.
#include <pthread.h>
#include <string.h>

#include "check.h"

enum { kWords = CT_DATA_MAX / 8 };
static unsigned wrong;
static unsigned exits;

HOOKED unsigned long nested(unsigned depth) {
  unsigned long sum = depth;
  if (depth != 0) sum += nested(depth - 1);
  __asm__ volatile("" : "+r"(sum));
  return sum;
}
HOOKED unsigned long last(unsigned depth) {
  __asm__ volatile("" : "+r"(depth));
  return depth;
}
HOOKED unsigned long jumps(unsigned depth) { return last(depth); }

/// Words that nobody else has written: of the client, the thread's call, and the argument.
static uint64_t word(ct_ops* ops, ct_regs* regs, unsigned i) {
  return (uint64_t)(uintptr_t)ct_ops_user(ops) << 56 ^ ct_regs_sp(regs) << 4 ^ i;
}

static int on_entry(uint64_t ip, uint64_t parent_ip, ct_ops* ops, ct_regs* regs, void* data) {
  (void)ip, (void)parent_ip;
  uint64_t* words = data;
  if ((uintptr_t)data % 8 != 0) __atomic_fetch_add(&wrong, 1, __ATOMIC_RELAXED);
  for (unsigned i = 0; i < kWords; ++i) {
    if (words[i] != 0) __atomic_fetch_add(&wrong, 1, __ATOMIC_RELAXED);
    words[i] = word(ops, regs, i);
  }
  return 0;
}
static void on_exit_of_call(uint64_t ip, uint64_t parent_ip, ct_ops* ops, ct_regs* regs, void* data) {
  (void)ip, (void)parent_ip;
  const uint64_t* words = data;
  for (unsigned i = 0; i < kWords; ++i) {
    if (words[i] != word(ops, regs, i)) __atomic_fetch_add(&wrong, 1, __ATOMIC_RELAXED);
  }
  __atomic_fetch_add(&exits, 1, __ATOMIC_RELAXED);
}

static ct_ops* new_probe(uintptr_t user, unsigned flags) {
  ct_ops* ops = ct_new_probe(on_entry, on_exit_of_call, CT_DATA_MAX, (void*)user, flags);
  CHECK_OK(ct_set_filter(ops, "nested", 0));
  CHECK_OK(ct_set_filter(ops, "last", 0));
  CHECK_OK(ct_set_filter(ops, "jumps", 0));
  CHECK_OK(ct_register_ops(ops));
  return ops;
}

static void check_kept(unsigned clients, unsigned flags) {
  ct_ops* ops[8];
  for (unsigned i = 0; i < clients; ++i) ops[i] = new_probe(i + 1, flags);
  unsigned calls = 0;
  for (unsigned round = 0; round < 20; ++round) {
    CHECK_EQUAL(nested(100), 5050);
    CHECK_EQUAL(jumps(round), round);
    calls += 101;
  }
  for (unsigned i = 0; i < clients; ++i) {
    const uint64_t hits = ct_ops_hits(ops[i]);
    CHECK(hits >= calls + 20);  // and 40 where jumps() is a tail call or calls: the same for all
    CHECK_EQUAL(hits, ct_ops_hits(ops[0]));
    CHECK_EQUAL(ct_ops_missed(ops[i]), 0);
  }
  CHECK_EQUAL(exits, clients * ct_ops_hits(ops[0]));
  CHECK_EQUAL(wrong, 0);
  for (unsigned i = 0; i < clients; ++i) CHECK_OK(ct_free_ops(ops[i]));
}

TEST(kept_over_recursion) { check_kept(1, 0); }
TEST(kept_over_recursion_with_general_registers_only) { check_kept(1, CT_GENERAL_REGS_ONLY); }
TEST(separate_for_each_of_two_clients) { check_kept(2, 0); }
TEST(separate_for_each_of_eight_clients) { check_kept(8, CT_GENERAL_REGS_ONLY); }

static void* call_for_a_while(void* argument) {
  for (unsigned i = 0; i < 2000; ++i) nested(i % 20);
  return argument;
}

TEST(separate_for_each_thread) {
  ct_ops* one = new_probe(1, 0);
  ct_ops* two = new_probe(2, 0);
  pthread_t threads[4];
  for (int i = 0; i < 4; ++i) CHECK_EQUAL(pthread_create(&threads[i], NULL, call_for_a_while, NULL), 0);
  // Others come and go meanwhile.
  for (int i = 0; i < 20; ++i) CHECK_OK(ct_free_ops(new_probe(3, 0)));
  for (int i = 0; i < 4; ++i) pthread_join(threads[i], NULL);
  CHECK_EQUAL(wrong, 0);
  CHECK_EQUAL(ct_ops_hits(one), 4 * 100 * (20 * 21 / 2));
  CHECK_EQUAL(ct_ops_hits(two), ct_ops_hits(one));
}

static int wants_odd(uint64_t ip, uint64_t parent_ip, ct_ops* ops, ct_regs* regs, void* data) {
  on_entry(ip, parent_ip, ops, regs, data);
  return ct_regs_argument(regs, 0) % 2 == 0;
}

static void check_cancelled(unsigned others) {
  ct_ops* beside[2];
  for (unsigned i = 0; i < others; ++i) beside[i] = new_probe(i + 2, 0);
  ct_ops* ops = ct_new_probe(wants_odd, on_exit_of_call, CT_DATA_MAX, (void*)1, 0);
  CHECK_OK(ct_set_filter(ops, "nested", 0));
  CHECK_OK(ct_register_ops(ops));
  for (unsigned round = 0; round < 50; ++round) nested(99);
  CHECK_EQUAL(ct_ops_hits(ops), 5000);
  CHECK_EQUAL(ct_ops_missed(ops), 0);
  CHECK_EQUAL(exits, 2500 + others * 5000);
  CHECK_EQUAL(wrong, 0);
  CHECK_OK(ct_free_ops(ops));
  for (unsigned i = 0; i < others; ++i) CHECK_OK(ct_free_ops(beside[i]));
}

TEST(a_cancelled_exit_does_not_run) { check_cancelled(0); }
TEST(a_cancelled_exit_does_not_run_and_others_do) { check_cancelled(2); }
