// Clients with overlapping filters see exactly their own functions: the kernel's self-test of dynamic ops.
#include "check.h"

HOOKED void first_function(void) { __asm__ volatile(""); }
HOOKED void second_function(void) { __asm__ volatile(""); }

static ct_ops* probes[3];
static unsigned counts[3];

static void count(uint64_t ip, uint64_t parent_ip, ct_ops* ops, ct_regs* regs) {
  (void)ip, (void)parent_ip, (void)regs;
  ++*(unsigned*)ct_ops_user(ops);
}

static void check_counts(unsigned first, unsigned second, unsigned third) {
  CHECK_EQUAL(counts[0], first);
  CHECK_EQUAL(counts[1], second);
  CHECK_EQUAL(counts[2], third);
  for (int i = 0; i < 3; ++i) CHECK_EQUAL(ct_ops_hits(probes[i]), counts[i]);
}

static void attach_three(unsigned flags) {
  for (int i = 0; i < 3; ++i) probes[i] = ct_new_callback(count, &counts[i], flags);
  CHECK_OK(ct_set_filter(probes[0], "first_function", 1));
  CHECK_OK(ct_set_filter(probes[1], "second_function", 1));
  CHECK_OK(ct_set_filter(probes[2], "first_function", 1));
  CHECK_OK(ct_set_filter(probes[2], "second_function", 0));
  for (int i = 0; i < 3; ++i) CHECK_OK(ct_register_ops(probes[i]));
}

static void check_overlapping(unsigned flags) {
  attach_three(flags);
  check_counts(0, 0, 0);
  first_function();
  check_counts(1, 0, 1);
  second_function();
  check_counts(1, 1, 2);
  first_function();
  check_counts(2, 1, 3);
  second_function();
  check_counts(2, 2, 4);
  CHECK_OK(ct_set_filter(probes[2], "!first_function", 0));
  first_function();
  check_counts(3, 2, 4);
  second_function();
  check_counts(3, 3, 5);
  for (int i = 0; i < 3; ++i) CHECK_OK(ct_free_ops(probes[i]));
  first_function();
  second_function();
  CHECK_EQUAL(counts[0] + counts[1] + counts[2], 3 + 3 + 5);
}

TEST(overlapping_filters) { check_overlapping(0); }
TEST(overlapping_filters_with_general_registers_only) { check_overlapping(CT_GENERAL_REGS_ONLY); }

TEST(a_fourth_client_on_everything_changes_no_other_count) {
  unsigned all = 0;
  ct_ops* everything = ct_new_callback(count, &all, 0);
  CHECK_OK(ct_set_filter(everything, "first_*", 1));
  CHECK_OK(ct_set_filter(everything, "second_*", 0));
  CHECK_OK(ct_register_ops(everything));
  check_overlapping(0);
  CHECK_EQUAL(all, 8);
  CHECK_OK(ct_free_ops(everything));
}
