// Calls that a handler makes, under `calltap record`: of a function that has other clients besides the
// recorder they run unhooked, and the recording has to say how many. recorded_misses.py reads it.
#include "check.h"

enum { kCalls = 10, kCallsOfAHandler = 3 };

static unsigned inner_calls;
HOOKED void inner(void) { ++inner_calls; }
HOOKED void work(void) { __asm__ volatile(""); }

static void call_inner(uint64_t ip, uint64_t parent_ip, ct_ops* ops, ct_regs* regs) {
  (void)ip, (void)parent_ip, (void)ops, (void)regs;
  for (int i = 0; i < kCallsOfAHandler; ++i) inner();
}
static void do_nothing(uint64_t ip, uint64_t parent_ip, ct_ops* ops, ct_regs* regs) {
  (void)ip, (void)parent_ip, (void)ops, (void)regs;
}

TEST(calls_made_by_handlers) {
  ct_ops* caller = ct_new_callback(call_inner, NULL, 0);
  CHECK_OK(ct_set_filter(caller, "work", 0));
  CHECK_OK(ct_register_ops(caller));
  ct_ops* other = ct_new_callback(do_nothing, NULL, 0);
  CHECK_OK(ct_set_filter(other, "inner", 0));
  CHECK_OK(ct_register_ops(other));
  for (int i = 0; i < kCalls; ++i) work();
  CHECK_EQUAL(inner_calls, kCalls * kCallsOfAHandler);
  CHECK_EQUAL(ct_ops_hits(other), 0);
  CHECK_EQUAL(ct_ops_missed(other), kCalls * kCallsOfAHandler);
}
