// A signal handler of the program interrupts a client's handler and leaves by siglongjmp. The client's
// handler never returns; from then on everything is as if it had.
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdlib.h>

#include "check.h"

HOOKED int work(int value) {
  __asm__ volatile("");
  return value + 1;
}

static sigjmp_buf outside;
static int leave;  // in which step: 1 at the entry, 2 at the exit
static uint64_t entries, exits, unwound;

static void leave_handler(int signal) {
  (void)signal;
  siglongjmp(outside, 1);
}

static void maybe_leave(int step) {
  if (leave != step) return;
  leave = 0;
  raise(SIGUSR1);
}

static void on_call(uint64_t ip, uint64_t parent_ip, ct_ops* ops, ct_regs* regs) {
  (void)ip, (void)parent_ip, (void)ops, (void)regs;
  ++entries;
  maybe_leave(1);
}
static int on_entry(uint64_t ip, uint64_t parent_ip, ct_ops* ops, ct_regs* regs, void* data) {
  (void)data;
  on_call(ip, parent_ip, ops, regs);
  return 0;
}
static void on_exit_of_call(uint64_t ip, uint64_t parent_ip, ct_ops* ops, ct_regs* regs, void* data) {
  (void)ip, (void)parent_ip, (void)ops, (void)data;
  ++exits;
  if (ct_regs_unwound(regs)) {
    ++unwound;  // of a call that was left before
  } else {
    maybe_leave(2);
  }
}

static void handle_signal(void) {
  struct sigaction action = {.sa_handler = leave_handler};
  CHECK_EQUAL(sigaction(SIGUSR1, &action, NULL), 0);
}

/// A handler is left in that step.
static void call_and_leave(int step) {
  leave = step;
  if (sigsetjmp(outside, 1) == 0) {
    work(1);
    CHECK(!"the handler has not been left");
  }
}

static ct_ops* callback(void) { return ct_new_callback(on_call, NULL, 0); }
static ct_ops* probe(void) { return ct_new_probe(on_entry, on_exit_of_call, 0, NULL, 0); }

static void* unregister(void* ops) {
  CHECK_OK(ct_unregister_ops(ops));
  return NULL;
}

/// Each client must see the calls that follow; all of them can be unregistered, by this thread and by
/// another.
static void check_left(ct_ops* (*make[])(void), int count, int step) {
  handle_signal();
  ct_ops* ops[4];
  for (int i = 0; i < count; ++i) {
    ops[i] = make[i]();
    CHECK_OK(ct_set_filter(ops[i], "work", 0));
    CHECK_OK(ct_register_ops(ops[i]));
  }
  for (int round = 0; round < 3; ++round) {
    call_and_leave(step);
    uint64_t hits[4];
    for (int i = 0; i < count; ++i) hits[i] = ct_ops_hits(ops[i]);
    for (int i = 0; i < 10; ++i) CHECK_EQUAL(work(i), i + 1);
    for (int i = 0; i < count; ++i) {
      CHECK_EQUAL(ct_ops_hits(ops[i]), hits[i] + 10);
      CHECK_EQUAL(ct_ops_missed(ops[i]), 0);
    }
  }
  call_and_leave(step);
  CHECK_OK(ct_unregister_ops(ops[0]));
  for (int i = 1; i < count; ++i) {
    pthread_t thread;
    CHECK_EQUAL(pthread_create(&thread, NULL, unregister, ops[i]), 0);
    pthread_join(thread, NULL);
  }
  const uint64_t seen = entries + exits;
  CHECK_EQUAL(work(1), 2);
  CHECK_EQUAL(entries + exits, seen);
  for (int i = 0; i < count; ++i) CHECK_OK(ct_free_ops(ops[i]));
}

TEST(a_callback_is_left) {
  ct_ops* (*make[])(void) = {callback};
  check_left(make, 1, 1);
}
TEST(an_entry_handler_is_left) {
  ct_ops* (*make[])(void) = {probe};
  check_left(make, 1, 1);
}
TEST(an_exit_handler_is_left) {
  ct_ops* (*make[])(void) = {probe};
  check_left(make, 1, 2);
}
TEST(a_handler_of_a_list_is_left) {
  ct_ops* (*make[])(void) = {probe, callback, probe};
  check_left(make, 3, 1);
}
TEST(an_exit_handler_of_a_list_is_left) {
  ct_ops* (*make[])(void) = {probe, callback, probe};
  check_left(make, 3, 2);
}

TEST(each_call_has_one_exit) {
  handle_signal();
  ct_ops* ops = probe();
  CHECK_OK(ct_set_filter(ops, "work", 0));
  CHECK_OK(ct_register_ops(ops));
  call_and_leave(1);
  call_and_leave(2);
  for (int i = 0; i < 10; ++i) work(i);
  CHECK_EQUAL(ct_ops_missed(ops), 0);
  // One unwound exit for each call that was left at its entry, none for one that was left in its exit
  // handler.
  CHECK_OK(ct_free_ops(ops));
  CHECK_EQUAL(exits - unwound, 11);
}
