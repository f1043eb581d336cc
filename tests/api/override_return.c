// Handlers that skip the function and supply its result ("fmod_ret"), and data that belongs to one call.
#include <pthread.h>
#include <string.h>

#include "check.h"
#include "trampolines.h"

static char log_text[64];
static void note(char what) {
  const size_t length = strlen(log_text);
  if (length + 1 < sizeof log_text) log_text[length] = what;
}

HOOKED long modified(long value) {
  note('.');
  return value;
}
HOOKED double modified_double(double value) {
  note('.');
  return value;
}
struct Large {
  uint64_t words[5];
};
HOOKED struct Large modified_large(uint64_t first) {
  note('.');
  const struct Large value = {{first, first, first, first, first}};
  return value;
}
DIRECT_TRAMPOLINE(count_direct, direct_calls);

static long override_with;
static long exit_saw;
static int exit_saw_overridden;

static void note_entry(uint64_t ip, uint64_t parent_ip, ct_ops* ops, ct_regs* regs) {
  (void)ip, (void)parent_ip, (void)ops;
  note(ct_regs_overridden(regs) ? 'O' : 'E');
}
static void override(uint64_t ip, uint64_t parent_ip, ct_ops* ops, ct_regs* regs) {
  (void)ip, (void)parent_ip, (void)ops;
  note('M');
  if (override_with != 0) ct_regs_override_return(regs, (uint64_t)override_with);
}
static void note_exit(uint64_t ip, uint64_t parent_ip, ct_ops* ops, ct_regs* regs, void* data) {
  (void)ip, (void)parent_ip, (void)ops, (void)data;
  note('x');
  exit_saw = (long)ct_regs_return_value(regs);
  exit_saw_overridden = ct_regs_overridden(regs);
  CHECK_EQUAL(ct_regs_unwound(regs), 0);
}

static ct_ops* on_modified(ct_ops* ops) {
  CHECK_OK(ct_set_filter(ops, "modified", 0));
  return ops;
}

static void check_call(long expected_value, const char* expected_log, int line) {
  memset(log_text, 0, sizeof log_text);
  check_equal((uint64_t)modified(1), (uint64_t)expected_value, __FILE__, line, "modified(1)");
  check_true(strcmp(log_text, expected_log) == 0, __FILE__, line, log_text);
}
#define CHECK_CALL(expected_value, expected_log) check_call(expected_value, expected_log, __LINE__)

TEST(entry_before_override_before_exit) {
  ct_ops* entry = on_modified(ct_new_callback(note_entry, NULL, 0));
  ct_ops* modify = on_modified(ct_new_callback(override, NULL, 0));
  ct_ops* later = on_modified(ct_new_callback(note_entry, NULL, 0));
  ct_ops* exit = on_modified(ct_new_probe(NULL, note_exit, 0, NULL, 0));
  CHECK_OK(ct_register_ops(entry));
  CHECK_OK(ct_register_ops(modify));
  CHECK_OK(ct_register_ops(later));
  CHECK_OK(ct_register_ops(exit));
  CHECK_CALL(1, "EME.x");
  CHECK_EQUAL(exit_saw, 1);
  override_with = -22;
  CHECK_CALL(-22, "EMOx");
  CHECK_EQUAL(exit_saw, -22);
  CHECK_OK(ct_free_ops(exit));
  CHECK_CALL(-22, "EMO");
  CHECK_OK(ct_free_ops(modify));
  CHECK_CALL(1, "EE.");
}

static void check_alone(unsigned flags) {
  ct_ops* modify = on_modified(ct_new_callback(override, NULL, flags));
  CHECK_OK(ct_register_ops(modify));
  CHECK_CALL(1, "M.");
  override_with = 42;
  CHECK_CALL(42, "M");
  CHECK_OK(ct_free_ops(modify));
  CHECK_CALL(1, ".");
}
TEST(override_alone) { check_alone(0); }
TEST(override_alone_with_general_registers_only) { check_alone(CT_GENERAL_REGS_ONLY); }

static int override_in_probe(uint64_t ip, uint64_t parent_ip, ct_ops* ops, ct_regs* regs, void* data) {
  (void)data;
  override(ip, parent_ip, ops, regs);
  return 0;
}

static void check_in_probe(unsigned flags) {
  ct_ops* probe = on_modified(ct_new_probe(override_in_probe, note_exit, 0, NULL, flags));
  CHECK_OK(ct_register_ops(probe));
  override_with = 42;
  CHECK_CALL(42, "Mx");
  CHECK_EQUAL(exit_saw, 42);
  CHECK_OK(ct_free_ops(probe));
}
TEST(a_probe_sees_the_exit_that_it_has_forced) { check_in_probe(0); }
TEST(a_lean_probe_sees_the_exit_that_it_has_forced) { check_in_probe(CT_GENERAL_REGS_ONLY); }

static int replaced_calls;
static long replacement(long value) {
  ++replaced_calls;
  return value + 1000;
}

TEST(neither_direct_call_nor_redirect_run_when_the_body_is_skipped) {
  ct_ops* modify = on_modified(ct_new_callback(override, NULL, 0));
  ct_ops* direct = on_modified(ct_new_ops(NULL, 0));
  ct_ops* redirect = on_modified(ct_new_ops(NULL, 0));
  CHECK_OK(ct_register_direct(direct, count_direct));
  CHECK_OK(ct_register_ops(modify));
  CHECK_OK(ct_register_redirect(redirect, (void*)replacement));
  CHECK_CALL(1001, "M");
  CHECK_EQUAL(direct_calls, 1);
  override_with = 7;
  CHECK_CALL(7, "M");
  CHECK_EQUAL(direct_calls, 1);
  CHECK_EQUAL(replaced_calls, 1);
}

static double double_exit_saw;
static void override_double(uint64_t ip, uint64_t parent_ip, ct_ops* ops, ct_regs* regs) {
  (void)ip, (void)parent_ip, (void)ops;
  ct_regs_override_double_return(regs, 2 * ct_regs_double_argument(regs, 0));
}
static void see_double(uint64_t ip, uint64_t parent_ip, ct_ops* ops, ct_regs* regs, void* data) {
  (void)ip, (void)parent_ip, (void)ops, (void)data;
  double_exit_saw = ct_regs_double_return_value(regs);
  ct_regs_set_double_return_value(regs, double_exit_saw + 0.5);
}

TEST(doubles_are_overridden_and_seen_at_the_exit) {
  ct_ops* modify = ct_new_callback(override_double, NULL, 0);
  ct_ops* exit = ct_new_probe(NULL, see_double, 0, NULL, 0);
  CHECK_OK(ct_set_filter(modify, "modified_double", 0));
  CHECK_OK(ct_set_filter(exit, "modified_double", 0));
  CHECK(modified_double(1.25) == 1.25);
  CHECK_OK(ct_register_ops(modify));
  CHECK(modified_double(1.25) == 2.5);
  CHECK_OK(ct_register_ops(exit));
  CHECK(modified_double(1.25) == 3.0);
  CHECK(double_exit_saw == 2.5);
  CHECK_EQUAL(log_text[1], 0);
  CHECK_OK(ct_free_ops(modify));
  CHECK(modified_double(1.25) == 1.75);
  CHECK_OK(ct_free_ops(exit));
}

static void change_result(uint64_t ip, uint64_t parent_ip, ct_ops* ops, ct_regs* regs, void* data) {
  (void)ip, (void)parent_ip, (void)ops, (void)data;
  ct_regs_set_return_value(regs, ct_regs_return_value(regs) + 1);
}
TEST(exits_change_the_result_one_after_the_other) {
  ct_ops* seeing = on_modified(ct_new_probe(NULL, note_exit, 0, NULL, 0));
  CHECK_OK(ct_register_ops(seeing));
  ct_ops* ops[3];
  for (int i = 0; i < 3; ++i) {
    ops[i] = on_modified(ct_new_probe(NULL, change_result, 0, NULL, 0));
    CHECK_OK(ct_register_ops(ops[i]));
  }
  CHECK_CALL(4, ".x");
  CHECK_EQUAL(exit_saw, 4);
}

static void set_ip_then_override(uint64_t ip, uint64_t parent_ip, ct_ops* ops, ct_regs* regs) {
  (void)ip, (void)parent_ip, (void)ops;
  ct_regs_set_ip(regs, (uintptr_t)replacement);
  ct_regs_override_return(regs, 5);
  ct_regs_set_ip(regs, (uintptr_t)replacement);
}
static void two_overrides(uint64_t ip, uint64_t parent_ip, ct_ops* ops, ct_regs* regs) {
  (void)ip, (void)parent_ip, (void)ops;
  ct_regs_override_double_return(regs, 1.5);
  ct_regs_override_return(regs, 6);
}
TEST(an_override_wins_over_another_address) {
  ct_ops* ops = on_modified(ct_new_callback(set_ip_then_override, NULL, CT_IPMODIFY));
  CHECK_OK(ct_register_ops(ops));
  CHECK_CALL(5, "");
  CHECK_EQUAL(replaced_calls, 0);
  CHECK_OK(ct_free_ops(ops));
  ops = on_modified(ct_new_callback(two_overrides, NULL, 0));
  CHECK_OK(ct_register_ops(ops));
  CHECK_CALL(6, "");
}

static void override_large(uint64_t ip, uint64_t parent_ip, ct_ops* ops, ct_regs* regs) {
  (void)ip, (void)parent_ip, (void)ops;
  const struct Large value = {{5, 4, 3, 2, 1}};
  if (override_with == 0) return;
  memcpy((void*)(uintptr_t)ct_regs_result_address(regs), &value, sizeof value);
  ct_regs_override_return(regs, ct_regs_result_address(regs));
}
static void see_large(uint64_t ip, uint64_t parent_ip, ct_ops* ops, ct_regs* regs, void* data) {
  (void)ip, (void)parent_ip, (void)ops, (void)data;
  CHECK_EQUAL(ct_regs_result_address(regs), 0);  // an entry has it
  note('x');
}

TEST(a_result_in_memory_is_built_where_the_caller_wants_it) {
  ct_ops* exits = ct_new_probe(NULL, see_large, 0, NULL, 0);
  CHECK_OK(ct_set_filter(exits, "modified_large", 0));
  ct_ops* ops = ct_new_callback(override_large, NULL, 0);
  CHECK_OK(ct_set_filter(ops, "modified_large", 0));
  CHECK_OK(ct_register_ops(ops));
  for (int turn = 0; turn < 2; ++turn) {
    memset(log_text, 0, sizeof log_text);
    override_with = 1;
    const struct Large overridden = modified_large(9);
    for (unsigned i = 0; i < 5; ++i) CHECK_EQUAL(overridden.words[i], 5 - i);
    override_with = 0;
    const struct Large own = modified_large(9);
    for (unsigned i = 0; i < 5; ++i) CHECK_EQUAL(own.words[i], 9);
    CHECK(strcmp(log_text, turn == 0 ? "." : "x.x") == 0);
    if (turn == 0) CHECK_OK(ct_register_ops(exits));
  }
  CHECK_OK(ct_free_ops(ops));
  CHECK_OK(ct_free_ops(exits));
}
