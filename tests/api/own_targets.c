// A function that is its own replacement or trampoline would call itself for ever.
#define _GNU_SOURCE
#include <unistd.h>

#include "check.h"
#include "trampolines.h"

HOOKED int work(int value) { return value + 1; }
HOOKED int work_too(int value) { return value + 2; }

DIRECT_TRAMPOLINE(count_direct, direct_calls);

static ct_ops* filtered(ct_ops* ops, const char* pattern) {
  alarm(20);
  CHECK_OK(ct_set_filter(ops, pattern, 0));
  return ops;
}

TEST(a_function_is_not_redirected_to_itself) {
  ct_ops* ops = filtered(ct_new_ops(NULL, 0), "work");
  CHECK_FAILS(ct_register_redirect(ops, (void*)work), EINVAL, "'work'");
  CHECK_FAILS(ct_register_redirect(ops, (void*)work), EINVAL, "its own");
  CHECK_EQUAL(work(1), 2);
  CHECK_OK(ct_register_redirect(ops, (void*)work_too));
  CHECK_EQUAL(work(1), 3);
  CHECK_FAILS(ct_set_filter(ops, "work*", 1), EINVAL, "'work_too'");
  CHECK_EQUAL(work(1), 3);
  CHECK_EQUAL(work_too(1), 3);
  CHECK_OK(ct_free_ops(ops));
}

TEST(a_function_is_not_its_own_trampoline) {
  ct_ops* ops = filtered(ct_new_ops(NULL, 0), "work");
  CHECK_FAILS(ct_register_direct(ops, (void*)work), EINVAL, "its own");
  CHECK_OK(ct_register_direct(ops, count_direct));
  CHECK_FAILS(ct_modify_direct(ops, (void*)work), EINVAL, "'work'");
  CHECK_EQUAL(work(1), 2);
  CHECK_EQUAL(direct_calls, 1);
  CHECK_OK(ct_free_ops(ops));
}

static void go_on_at_function(uint64_t ip, uint64_t parent_ip, ct_ops* ops, ct_regs* regs) {
  (void)parent_ip;
  ct_regs_set_ip(regs, (uintptr_t)work_too);
  if (ct_ops_user(ops) != NULL) ct_regs_set_ip(regs, ip);
}

TEST(going_on_at_the_function_itself_changes_nothing) {
  ct_ops* ops = filtered(ct_new_callback(go_on_at_function, (void*)1, CT_IPMODIFY), "work");
  CHECK_OK(ct_register_ops(ops));
  CHECK_EQUAL(work(1), 2);
  CHECK_EQUAL(ct_ops_hits(ops), 1);
  CHECK_OK(ct_free_ops(ops));
  ops = filtered(ct_new_callback(go_on_at_function, NULL, CT_IPMODIFY), "work");
  CHECK_OK(ct_register_ops(ops));
  CHECK_EQUAL(work(1), 3);
  CHECK_OK(ct_free_ops(ops));
}
