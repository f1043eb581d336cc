// The global switch: off detaches every client, unless one is permanent, and on brings all back.
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "trampolines.h"

HOOKED int number(void) { return 1; }
HOOKED int other_number(void) { return 10; }
static int replaced_number(void) { return 2; }

DIRECT_TRAMPOLINE(count_direct, direct_calls);

static unsigned entries;
static unsigned exits;
static void on_call(uint64_t ip, uint64_t parent_ip, ct_ops* ops, ct_regs* regs) {
  (void)ip, (void)parent_ip, (void)ops, (void)regs;
  ++entries;
}
static void on_exit_of_call(uint64_t ip, uint64_t parent_ip, ct_ops* ops, ct_regs* regs, void* data) {
  (void)ip, (void)parent_ip, (void)ops, (void)regs, (void)data;
  ++exits;
}

static ct_ops* filtered(ct_ops* ops, const char* pattern) {
  CHECK_OK(ct_set_filter(ops, pattern, 0));
  return ops;
}

static void check_refused(ct_ops* permanent) {
  char* before = enabled_functions();
  CHECK_FAILS(ct_set_enabled(0), EBUSY, "permanent");
  CHECK_EQUAL(ct_enabled(), 1);
  char* after = enabled_functions();
  CHECK(strlen(before) != 0);
  CHECK_EQUAL(strcmp(before, after), 0);
  free(before), free(after);
  CHECK_OK(ct_free_ops(permanent));
  CHECK_OK(ct_set_enabled(0));
  CHECK_EQUAL(ct_enabled(), 0);
}

TEST(off_is_refused_with_a_permanent_client) {
  ct_ops* plain = filtered(ct_new_callback(on_call, NULL, 0), "other_number");
  CHECK_OK(ct_register_ops(plain));
  ct_ops* permanent = filtered(ct_new_callback(on_call, NULL, CT_PERMANENT), "number");
  CHECK_OK(ct_register_ops(permanent));
  check_refused(permanent);
}

TEST(off_is_refused_with_a_disabled_permanent_client) {
  ct_ops* plain = filtered(ct_new_callback(on_call, NULL, 0), "other_number");
  CHECK_OK(ct_register_ops(plain));
  ct_ops* permanent = filtered(ct_new_callback(on_call, NULL, CT_PERMANENT), "number");
  CHECK_OK(ct_register_ops(permanent));
  CHECK_OK(ct_disable_ops(permanent));
  check_refused(permanent);
}

TEST(off_is_refused_with_a_direct_call) {
  ct_ops* direct = filtered(ct_new_ops(NULL, 0), "number");
  CHECK_OK(ct_register_direct(direct, count_direct));
  check_refused(direct);
}

TEST(off_is_refused_with_a_redirect) {
  ct_ops* redirect = filtered(ct_new_ops(NULL, 0), "number");
  CHECK_OK(ct_register_redirect(redirect, (void*)replaced_number));
  check_refused(redirect);
}

TEST(off_detaches_all_and_on_restores_all) {
  ct_ops* handler = filtered(ct_new_callback(on_call, NULL, 0), "*number");
  CHECK_OK(ct_set_notrace(handler, "replaced_*", 0));
  ct_ops* probe = filtered(ct_new_probe(NULL, on_exit_of_call, 0, NULL, 0), "number");
  ct_ops* direct = filtered(ct_new_ops(NULL, CT_NOT_PERMANENT), "number");
  ct_ops* redirect = filtered(ct_new_ops(NULL, CT_NOT_PERMANENT), "number");
  ct_ops* disabled = filtered(ct_new_callback(on_call, NULL, 0), "number");
  CHECK_OK(ct_register_ops(handler));
  CHECK_OK(ct_register_ops(probe));
  CHECK_OK(ct_register_direct(direct, count_direct));
  CHECK_OK(ct_register_redirect(redirect, (void*)replaced_number));
  CHECK_OK(ct_register_ops(disabled));
  CHECK_OK(ct_disable_ops(disabled));
  char* before = enabled_functions();
  for (unsigned round = 1; round <= 3; ++round) {
    CHECK_OK(ct_set_enabled(0));
    CHECK_OK(ct_set_enabled(0));
    CHECK_EQUAL(number() + other_number(), 11);
    CHECK_EQUAL(entries, 2 * (round - 1));
    char* off = enabled_functions();
    CHECK_EQUAL(strlen(off), 0);
    free(off);
    CHECK_OK(ct_set_enabled(1));
    CHECK_OK(ct_set_enabled(1));
    CHECK_EQUAL(number() + other_number(), 12);
    CHECK_EQUAL(entries, 2 * round);
    CHECK_EQUAL(exits, round);
    CHECK_EQUAL(direct_calls, round);
    char* after = enabled_functions();
    CHECK_EQUAL(strcmp(before, after), 0);
    free(after);
  }
  free(before);
}

TEST(changes_while_off_take_effect_when_on) {
  ct_ops* one = filtered(ct_new_callback(on_call, NULL, 0), "number");
  ct_ops* gone = filtered(ct_new_callback(on_call, NULL, 0), "number");
  ct_ops* late = filtered(ct_new_callback(on_call, NULL, 0), "number");
  CHECK_OK(ct_register_ops(one));
  CHECK_OK(ct_register_ops(gone));
  CHECK_OK(ct_set_enabled(0));
  CHECK_OK(ct_set_filter(one, "other_number", 1));
  CHECK_OK(ct_unregister_ops(gone));
  CHECK_OK(ct_register_ops(late));
  number(), other_number();
  CHECK_EQUAL(entries, 0);
  CHECK_EQUAL(ct_ops_functions(one) + ct_ops_functions(late), 0);
  CHECK_OK(ct_set_enabled(1));
  number(), other_number();
  CHECK_EQUAL(ct_ops_hits(one), 1);
  CHECK_EQUAL(ct_ops_hits(gone), 0);
  CHECK_EQUAL(ct_ops_hits(late), 1);
}

TEST(what_cannot_be_found_is_refused_while_off_too) {
  CHECK_OK(ct_set_enabled(0));
  ct_ops* ops = filtered(ct_new_callback(on_call, NULL, 0), "no_such_function");
  CHECK_FAILS(ct_register_ops(ops), ENOENT, "");
  CHECK_OK(ct_set_enabled(1));
  CHECK_OK(ct_free_ops(ops));
}

// Registers it as what it is: 0 a redirect, 1 a handler that may set the ip, 2 a direct call.
static ct_ops* new_owner(int kind, const char* name, const char* pattern) {
  ct_ops* ops = kind == 1 ? ct_new_callback(on_call, NULL, CT_IPMODIFY) : ct_new_ops(NULL, CT_NOT_PERMANENT);
  CHECK_OK(ct_set_name(ops, name));
  return filtered(ops, pattern);
}
static int register_owner(int kind, ct_ops* ops) {
  if (kind == 0) return ct_register_redirect(ops, (void*)replaced_number);
  return kind == 1 ? ct_register_ops(ops) : ct_register_direct(ops, count_direct);
}

/// Two that a function cannot both have: the second is refused whatever the switch says.
static void check_conflict(int first_kind, int second_kind) {
  ct_ops* first = new_owner(first_kind, "first", "number");
  ct_ops* second = new_owner(second_kind, "second", "*number");
  CHECK_OK(ct_set_notrace(second, "replaced_*", 0));
  ct_ops* elsewhere = new_owner(second_kind, "elsewhere", "other_number");
  CHECK_OK(ct_set_enabled(0));
  CHECK_OK(register_owner(first_kind, first));
  CHECK_FAILS(register_owner(second_kind, second), EBUSY, "the ops 'first'");
  CHECK_TEXT(ct_error_text(), "'number'");
  CHECK_OK(register_owner(second_kind, elsewhere));
  CHECK_FAILS(ct_set_filter(elsewhere, "number", 0), EBUSY, "the ops 'first'");
  CHECK_FAILS(register_owner(second_kind, second), EBUSY, "already");
  char* off = enabled_functions();
  CHECK_EQUAL(strlen(off), 0);
  free(off);
  CHECK_EQUAL(number() + other_number(), 11);

  CHECK_OK(ct_set_enabled(1));
  CHECK_TEXT(enabled_line("number"), " first");
  CHECK_TEXT(enabled_line("other_number"), " elsewhere");
  CHECK_OK(ct_set_enabled(0));
  // What is disabled has no claim, and may find that another has come.
  CHECK_OK(ct_disable_ops(first));
  CHECK_OK(ct_free_ops(elsewhere));
  CHECK_OK(register_owner(second_kind, second));
  CHECK_FAILS(ct_enable_ops(first), EBUSY, "the ops 'second'");
  CHECK_OK(ct_set_enabled(1));
  CHECK_EQUAL(ct_ops_functions(second), 2);
  CHECK_FAILS(ct_enable_ops(first), EBUSY, "the ops 'second'");
  CHECK_OK(ct_set_enabled(0));
  CHECK_OK(ct_free_ops(second));
  CHECK_OK(ct_enable_ops(first));
  CHECK_OK(ct_set_enabled(1));
  CHECK_EQUAL(ct_ops_functions(first), 1);
}
TEST(two_redirects_while_off) { check_conflict(0, 0); }
TEST(two_handlers_that_may_set_the_ip_while_off) { check_conflict(1, 1); }
TEST(a_redirect_and_a_handler_that_may_set_the_ip_while_off) { check_conflict(0, 1); }
TEST(a_handler_that_may_set_the_ip_and_a_redirect_while_off) { check_conflict(1, 0); }
TEST(two_direct_calls_while_off) { check_conflict(2, 2); }

TEST(a_redirect_and_a_direct_call_while_off) {
  CHECK_OK(ct_set_enabled(0));
  CHECK_OK(register_owner(0, new_owner(0, "redirect", "number")));
  CHECK_OK(register_owner(2, new_owner(2, "direct", "number")));
  CHECK_EQUAL(number(), 1);
  CHECK_OK(ct_set_enabled(1));
  CHECK_EQUAL(number(), 2);
  CHECK_EQUAL(direct_calls, 1);
}

TEST(a_direct_call_modified_while_off) {
  ct_ops* direct = new_owner(2, "direct", "number");
  CHECK_OK(register_owner(2, direct));
  CHECK_OK(ct_set_enabled(0));
  CHECK_FAILS(ct_modify_direct(direct, (void*)number), EINVAL, "its own trampoline");
  CHECK_OK(ct_modify_direct(direct, count_direct));
  CHECK_OK(ct_set_enabled(1));
  CHECK_EQUAL(number(), 1);
  CHECK_EQUAL(direct_calls, 1);
}

TEST(permanent_clients_are_refused_while_off) {
  CHECK_OK(ct_set_enabled(0));
  ct_ops* permanent = filtered(ct_new_callback(on_call, NULL, CT_PERMANENT), "number");
  ct_ops* direct = filtered(ct_new_ops(NULL, 0), "number");
  ct_ops* redirect = filtered(ct_new_ops(NULL, 0), "number");
  CHECK_FAILS(ct_register_ops(permanent), EBUSY, "off");
  CHECK_FAILS(ct_register_direct(direct, count_direct), EBUSY, "off");
  CHECK_FAILS(ct_register_redirect(redirect, (void*)replaced_number), EBUSY, "off");
  CHECK_EQUAL(number(), 1);
  CHECK_OK(ct_set_enabled(1));
  CHECK_EQUAL(number(), 1);
  CHECK_EQUAL(entries + direct_calls, 0);
  CHECK_OK(ct_register_ops(permanent));
  CHECK_OK(ct_register_direct(direct, count_direct));
  CHECK_OK(ct_register_redirect(redirect, (void*)replaced_number));
  CHECK_EQUAL(number(), 2);
  CHECK_EQUAL(entries + direct_calls, 2);
}

TEST(enable_and_disable_while_off) {
  ct_ops* ops = filtered(ct_new_callback(on_call, NULL, 0), "number");
  CHECK_OK(ct_register_ops(ops));
  CHECK_OK(ct_set_enabled(0));
  CHECK_OK(ct_disable_ops(ops));
  CHECK_OK(ct_set_enabled(1));
  number();
  CHECK_EQUAL(entries, 0);
  CHECK_OK(ct_set_enabled(0));
  CHECK_OK(ct_enable_ops(ops));
  number();
  CHECK_EQUAL(entries, 0);
  CHECK_OK(ct_set_enabled(1));
  number();
  CHECK_EQUAL(entries, 1);
}
