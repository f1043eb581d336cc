// Direct calls and redirects: at most one of each a function, sharing a function with each other and with
// handlers, and changed without a call that sees neither the old nor the new.
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "trampolines.h"

HOOKED int number(void) { return 1; }
static int replaced_number(void) { return 2; }
static int otherwise_replaced_number(void) { return 3; }

#define HUNDREDTH(n) \
  HOOKED int hundred_##n(void) { return n; }
// clang-format off
#define TEN(n) HUNDREDTH(n##0) HUNDREDTH(n##1) HUNDREDTH(n##2) HUNDREDTH(n##3) HUNDREDTH(n##4) \
  HUNDREDTH(n##5) HUNDREDTH(n##6) HUNDREDTH(n##7) HUNDREDTH(n##8) HUNDREDTH(n##9)
TEN(1) TEN(2) TEN(3) TEN(4) TEN(5) TEN(6) TEN(7) TEN(8) TEN(9) TEN(10)
    // clang-format on

    DIRECT_TRAMPOLINE(count_first, first_calls);
DIRECT_TRAMPOLINE(count_second, second_calls);

static ct_ops* filtered(const char* pattern) {
  ct_ops* ops = ct_new_ops(NULL, 0);
  CHECK_OK(ct_set_filter(ops, pattern, 0));
  return ops;
}

static void check_both_run(void) {
  const uint64_t before = first_calls;
  CHECK_EQUAL(number(), 2);
  CHECK_EQUAL(first_calls - before, 1);
  CHECK_TEXT(enabled_line("number"), "(2)   I D   M");
}

TEST(redirect_then_direct_share_a_function) {
  ct_ops* redirect = filtered("number");
  ct_ops* direct = filtered("number");
  CHECK_OK(ct_register_redirect(redirect, (void*)replaced_number));
  CHECK_OK(ct_register_direct(direct, count_first));
  check_both_run();
  CHECK_OK(ct_unregister_redirect(redirect));
  CHECK_EQUAL(number(), 1);
  CHECK_EQUAL(first_calls, 2);
  CHECK_OK(ct_unregister_direct(direct));
  CHECK_EQUAL(number(), 1);
  CHECK_EQUAL(first_calls, 2);
}

TEST(direct_then_redirect_share_a_function) {
  ct_ops* redirect = filtered("number");
  ct_ops* direct = filtered("number");
  CHECK_OK(ct_register_direct(direct, count_first));
  CHECK_OK(ct_register_redirect(redirect, (void*)replaced_number));
  check_both_run();
  CHECK_OK(ct_unregister_direct(direct));
  CHECK_EQUAL(number(), 2);
  CHECK_EQUAL(first_calls, 1);
  CHECK_OK(ct_unregister_redirect(redirect));
  CHECK_EQUAL(number(), 1);
}

static unsigned entries;
static unsigned direct_before_entry;
static void on_call(uint64_t ip, uint64_t parent_ip, ct_ops* ops, ct_regs* regs) {
  (void)parent_ip, (void)ops, (void)regs;
  CHECK_EQUAL(ip, (uintptr_t)number);
  if (first_calls != entries) ++direct_before_entry;
  ++entries;
}

TEST(handlers_run_before_direct_and_redirect) {
  ct_ops* redirect = filtered("number");
  ct_ops* direct = filtered("number");
  ct_ops* handler = ct_new_callback(on_call, NULL, 0);
  CHECK_OK(ct_set_filter(handler, "number", 0));
  CHECK_OK(ct_register_direct(direct, count_first));
  CHECK_OK(ct_register_redirect(redirect, (void*)replaced_number));
  CHECK_OK(ct_register_ops(handler));
  for (int i = 0; i < 3; ++i) CHECK_EQUAL(number(), 2);
  CHECK_EQUAL(entries, 3);
  CHECK_EQUAL(first_calls, 3);
  CHECK_EQUAL(direct_before_entry, 0);
  CHECK_TEXT(enabled_line("number"), "(3) R I D   M");
  CHECK_OK(ct_free_ops(direct));
  CHECK_EQUAL(number(), 2);
  CHECK_OK(ct_free_ops(redirect));
  CHECK_EQUAL(number(), 1);
  CHECK_EQUAL(entries, 5);
  CHECK_OK(ct_free_ops(handler));
}

static int calls_original(void) {
  int (*original)(void) = (int (*)(void))ct_original((const void*)number);
  return original == NULL ? -1 : 10 * original();
}

TEST(a_replacement_calls_the_original) {
  ct_ops* redirect = filtered("number");
  CHECK_OK(ct_register_redirect(redirect, (void*)calls_original));
  CHECK_EQUAL(number(), 10);
  CHECK(ct_original((const void*)replaced_number) == NULL);
  CHECK_OK(ct_free_ops(redirect));
}

TEST(a_second_redirect_is_refused_and_changes_none_of_a_hundred) {
  ct_ops* first = filtered("hundred_57");
  CHECK_OK(ct_register_redirect(first, (void*)replaced_number));
  char* before = enabled_functions();
  ct_ops* second = filtered("hundred_*");
  CHECK_FAILS(ct_register_redirect(second, (void*)otherwise_replaced_number), EBUSY, "hundred_57");
  char* after = enabled_functions();
  CHECK_EQUAL(strcmp(before, after), 0);
  CHECK_EQUAL(ct_ops_functions(second), 0);
  CHECK_EQUAL(hundred_10(), 10);
  CHECK_EQUAL(hundred_57(), 2);
  CHECK_EQUAL(hundred_109(), 109);
  CHECK_FAILS(ct_unregister_redirect(second), ESRCH, "");
  // It is as good as new.
  CHECK_OK(ct_free_ops(first));
  CHECK_OK(ct_register_redirect(second, (void*)otherwise_replaced_number));
  CHECK_EQUAL(hundred_57() + hundred_10() + hundred_109(), 9);
  CHECK_OK(ct_free_ops(second));
  CHECK_EQUAL(hundred_57() + hundred_10() + hundred_109(), 57 + 10 + 109);
  free(before), free(after);
}

TEST(a_second_direct_is_refused_and_changes_none_of_a_hundred) {
  ct_ops* first = filtered("hundred_57");
  CHECK_OK(ct_register_direct(first, count_first));
  char* before = enabled_functions();
  ct_ops* second = filtered("hundred_*");
  CHECK_FAILS(ct_register_direct(second, count_second), EBUSY, "hundred_57");
  char* after = enabled_functions();
  CHECK_EQUAL(strcmp(before, after), 0);
  hundred_10(), hundred_57(), hundred_109();
  CHECK_EQUAL(first_calls, 1);
  CHECK_EQUAL(second_calls, 0);
  CHECK_OK(ct_free_ops(first));
  CHECK_OK(ct_register_direct(second, count_second));
  hundred_10(), hundred_57(), hundred_109();
  CHECK_EQUAL(second_calls, 3);
  CHECK_OK(ct_free_ops(second));
  free(before), free(after);
}

static void on_call_with_ip(uint64_t ip, uint64_t parent_ip, ct_ops* ops, ct_regs* regs) {
  (void)ip, (void)parent_ip, (void)ops;
  ct_regs_set_ip(regs, (uintptr_t)replaced_number);
}

TEST(a_callback_that_sets_the_ip_counts_as_a_redirect) {
  ct_ops* handler = ct_new_callback(on_call_with_ip, NULL, CT_IPMODIFY);
  CHECK_FAILS(ct_register_ops(handler), EINVAL, "filter");
  CHECK_OK(ct_set_filter(handler, "number", 0));
  CHECK_OK(ct_register_ops(handler));
  CHECK_EQUAL(number(), 2);
  ct_ops* redirect = filtered("number");
  CHECK_FAILS(ct_register_redirect(redirect, (void*)otherwise_replaced_number), EBUSY, "number");
  CHECK_EQUAL(number(), 2);
  CHECK_OK(ct_unregister_ops(handler));
  CHECK_OK(ct_register_redirect(redirect, (void*)otherwise_replaced_number));
  CHECK_FAILS(ct_register_ops(handler), EBUSY, "number");
  CHECK_EQUAL(number(), 3);
  CHECK_OK(ct_free_ops(redirect));
  CHECK_OK(ct_free_ops(handler));
}

// What ct_regs_set_ip() has returned to a client's handlers.
struct Asked {
  int leave_alone;
  int at_entry;
  int at_exit;
};
static int ask_for_ip(ct_regs* regs, const struct Asked* asked) {
  return asked->leave_alone ? 1 : ct_regs_set_ip(regs, (uintptr_t)replaced_number);
}
static void ask_in_callback(uint64_t ip, uint64_t parent_ip, ct_ops* ops, ct_regs* regs) {
  (void)ip, (void)parent_ip;
  struct Asked* asked = ct_ops_user(ops);
  asked->at_entry = ask_for_ip(regs, asked);
}
static int ask_at_entry(uint64_t ip, uint64_t parent_ip, ct_ops* ops, ct_regs* regs, void* data) {
  (void)data;
  ask_in_callback(ip, parent_ip, ops, regs);
  return 0;
}
static void ask_at_exit(uint64_t ip, uint64_t parent_ip, ct_ops* ops, ct_regs* regs, void* data) {
  (void)ip, (void)parent_ip, (void)data;
  struct Asked* asked = ct_ops_user(ops);
  asked->at_exit = ask_for_ip(regs, asked);
}

static ct_ops* asking(struct Asked* asked, int probe, unsigned flags) {
  ct_ops* ops = probe ? ct_new_probe(ask_at_entry, ask_at_exit, 0, asked, flags)
                      : ct_new_callback(ask_in_callback, asked, flags);
  CHECK_OK(ct_set_filter(ops, "number", 0));
  CHECK_OK(ct_register_ops(ops));
  return ops;
}

static void check_alone(int probe, unsigned flags, int expected) {
  struct Asked asked = {0, 1, 1};
  ct_ops* ops = asking(&asked, probe, flags);
  CHECK_EQUAL(number(), expected == 0 ? 2 : 1);
  CHECK_EQUAL(asked.at_entry, expected);
  CHECK_EQUAL(asked.at_exit, probe ? -EPERM : 1);
  CHECK_TEXT(enabled_line("number"), " O ");
  CHECK_OK(ct_free_ops(ops));
}

TEST(without_ipmodify_no_handler_sets_the_ip) {
  for (int probe = 0; probe < 2; ++probe) {
    check_alone(probe, 0, -EPERM);
    check_alone(probe, CT_GENERAL_REGS_ONLY, -EPERM);
    check_alone(probe, CT_IPMODIFY, 0);
    check_alone(probe, CT_IPMODIFY | CT_GENERAL_REGS_ONLY, 0);
  }
}

TEST(a_redirect_stays_though_a_handler_without_ipmodify_sets_the_ip) {
  struct Asked asked = {0, 1, 1};
  ct_ops* redirect = filtered("number");
  CHECK_OK(ct_register_redirect(redirect, (void*)otherwise_replaced_number));
  ct_ops* ops = asking(&asked, 0, 0);
  CHECK_EQUAL(number(), 3);
  CHECK_EQUAL(asked.at_entry, -EPERM);
  CHECK_OK(ct_free_ops(ops));
  CHECK_OK(ct_free_ops(redirect));
}

static void check_list(int probe) {
  struct Asked asked[3] = {{0, 1, 1}, {0, 1, 1}, {0, 1, 1}};
  ct_ops* ops[3];
  for (int i = 0; i < 3; ++i) ops[i] = asking(&asked[i], probe, i == 1 ? CT_IPMODIFY : 0);
  CHECK_EQUAL(number(), 2);
  for (int i = 0; i < 3; ++i) CHECK_EQUAL(asked[i].at_entry, i == 1 ? 0 : -EPERM);
  for (int i = 0; i < 3; ++i) CHECK_EQUAL(asked[i].at_exit, probe ? -EPERM : 1);
  asked[1].leave_alone = 1;  // that it could does not help the others
  CHECK_EQUAL(number(), 1);
  CHECK_EQUAL(asked[2].at_entry, -EPERM);
  for (int i = 0; i < 3; ++i) CHECK_OK(ct_free_ops(ops[i]));
}
TEST(of_several_callbacks_the_one_with_ipmodify_sets_the_ip) { check_list(0); }
TEST(of_several_probes_the_one_with_ipmodify_sets_the_ip) { check_list(1); }

TEST(a_filter_change_into_a_conflict_is_refused) {
  ct_ops* first = filtered("hundred_57");
  ct_ops* second = filtered("hundred_56");
  CHECK_OK(ct_register_redirect(first, (void*)replaced_number));
  CHECK_OK(ct_register_redirect(second, (void*)otherwise_replaced_number));
  char* before = enabled_functions();
  CHECK_FAILS(ct_set_filter(second, "hundred_5*", 1), EBUSY, "hundred_57");
  char* after = enabled_functions();
  CHECK_EQUAL(strcmp(before, after), 0);
  CHECK_FAILS(ct_set_filter(second, NULL, 1), EINVAL, "filter");
  CHECK_EQUAL(hundred_56(), 3);
  CHECK_OK(ct_set_filter(second, "hundred_55", 1));
  CHECK_EQUAL(hundred_56(), 56);
  CHECK_EQUAL(hundred_55(), 3);
  CHECK_OK(ct_free_ops(first));
  CHECK_OK(ct_free_ops(second));
  free(before), free(after);
}

TEST(a_direct_call_of_several_functions) {
  ct_ops* direct = filtered("hundred_2?");
  CHECK_OK(ct_register_direct(direct, count_first));
  CHECK_EQUAL(ct_ops_functions(direct), 10);
  CHECK_EQUAL(hundred_20() + hundred_29(), 49);
  CHECK_EQUAL(first_calls, 2);
  CHECK_OK(ct_modify_direct(direct, count_second));
  CHECK_EQUAL(hundred_20() + hundred_29(), 49);
  CHECK_EQUAL(first_calls, 2);
  CHECK_EQUAL(second_calls, 2);
  CHECK_OK(ct_free_ops(direct));
}

static int stop;
static uint64_t calls_made;

static void* call_number(void* argument) {
  (void)argument;
  uint64_t made = 0;
  while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
    number();
    ++made;
  }
  __atomic_fetch_add(&calls_made, made, __ATOMIC_RELAXED);
  return NULL;
}

static void wait_for_calls(ct_ops* direct, const void* target, const uint64_t* calls) {
  CHECK_OK(ct_modify_direct(direct, target));
  const uint64_t before = __atomic_load_n(calls, __ATOMIC_RELAXED);
  while (__atomic_load_n(calls, __ATOMIC_RELAXED) == before) sched_yield();
}

static void check_modify_under_load(ct_ops* beside) {
  enum { kThreads = 2, kChanges = 5000 };
  ct_ops* direct = filtered("number");
  CHECK_OK(ct_register_direct(direct, count_first));
  pthread_t threads[kThreads];
  for (int i = 0; i < kThreads; ++i) CHECK_EQUAL(pthread_create(&threads[i], NULL, call_number, NULL), 0);
  for (int i = 0; i < kChanges; ++i) {
    if (ct_modify_direct(direct, i % 2 == 0 ? count_second : count_first) != 0) CHECK(!"modify failed");
    if (i % 64 == 0) sched_yield();
    // With other clients coming and going, the call goes by a trampoline or not.
    if (beside == NULL || i % 100 != 0) continue;
    CHECK_OK(i % 200 == 0 ? ct_register_ops(beside) : ct_unregister_ops(beside));
  }
  // However the threads were scheduled so far.
  wait_for_calls(direct, count_first, &first_calls);
  wait_for_calls(direct, count_second, &second_calls);
  __atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
  for (int i = 0; i < kThreads; ++i) pthread_join(threads[i], NULL);
  CHECK_EQUAL(first_calls + second_calls, calls_made);
  CHECK_OK(ct_free_ops(direct));
}

TEST(modify_direct_under_load_every_call_sees_the_old_or_the_new) { check_modify_under_load(NULL); }

static void nothing(uint64_t ip, uint64_t parent_ip, ct_ops* ops, ct_regs* regs) {
  (void)ip, (void)parent_ip, (void)ops, (void)regs;
}

TEST(modify_direct_under_load_beside_a_callback_that_comes_and_goes) {
  ct_ops* handler = ct_new_callback(nothing, NULL, 0);
  CHECK_OK(ct_set_filter(handler, "number", 0));
  check_modify_under_load(handler);
  CHECK_OK(ct_free_ops(handler));
}

TEST(modify_needs_a_registered_direct_call) {
  ct_ops* direct = filtered("number");
  CHECK_FAILS(ct_modify_direct(direct, count_first), ESRCH, "not registered");
  CHECK_OK(ct_register_direct(direct, count_first));
  CHECK_FAILS(ct_modify_direct(direct, &stop), EACCES, "executable");
  CHECK_FAILS(ct_modify_direct(direct, NULL), EACCES, "executable");
  number();
  CHECK_EQUAL(first_calls, 1);
  CHECK_OK(ct_unregister_direct(direct));
  CHECK_FAILS(ct_modify_direct(direct, count_first), ESRCH, "not registered");
  CHECK_OK(ct_free_ops(direct));
}

TEST(what_was_a_direct_call_is_none_any_more) {
  ct_ops* ops = filtered("number");
  CHECK_OK(ct_register_direct(ops, count_first));
  CHECK_FAILS(ct_unregister_ops(ops), EINVAL, "another kind: it is a direct call");
  CHECK_FAILS(ct_unregister_redirect(ops), EINVAL, "another kind: it is a direct call");
  CHECK_OK(ct_unregister_direct(ops));
  CHECK_FAILS(ct_register_ops(ops), EINVAL, "handler");
  CHECK_OK(ct_register_redirect(ops, (void*)replaced_number));
  CHECK_EQUAL(number(), 2);
  CHECK_EQUAL(first_calls, 0);
  CHECK_FAILS(ct_modify_direct(ops, count_first), EINVAL, "another kind: it is a redirect");
  CHECK_OK(ct_unregister_redirect(ops));
  CHECK_FAILS(ct_register_ops(ops), EINVAL, "handler");
  CHECK_OK(ct_free_ops(ops));
}

TEST(flags_of_redirects_are_not_for_direct_calls) {
  ct_ops* ops = ct_new_ops(NULL, CT_IPMODIFY);
  CHECK_OK(ct_set_filter(ops, "number", 0));
  CHECK_FAILS(ct_register_direct(ops, count_first), EINVAL, "");
  CHECK_EQUAL(number(), 1);
  CHECK_OK(ct_free_ops(ops));
}

TEST(what_has_handlers_is_no_direct_call) {
  ct_ops* ops = ct_new_callback(nothing, NULL, 0);
  CHECK_OK(ct_set_filter(ops, "number", 0));
  CHECK_FAILS(ct_register_direct(ops, count_first), EINVAL, "");
  CHECK_FAILS(ct_register_redirect(ops, (void*)replaced_number), EINVAL, "");
  CHECK_OK(ct_register_ops(ops));
  CHECK_FAILS(ct_modify_direct(ops, count_first), EINVAL, "another kind: it has handlers");
  CHECK_EQUAL(number(), 1);
  CHECK_OK(ct_free_ops(ops));
}
