// Clients of hundreds of functions that become clients of few, and back: each has exactly the functions that
// its filter selects, however they were named.
#include <stdio.h>
#include <string.h>

#include "check.h"
#include "trampolines.h"

// many_100 to many_699
#define TEN(X, n) X(n##0) X(n##1) X(n##2) X(n##3) X(n##4) X(n##5) X(n##6) X(n##7) X(n##8) X(n##9)
#define HUNDRED(X, n) \
  TEN(X, n##0)        \
  TEN(X, n##1)        \
  TEN(X, n##2) TEN(X, n##3) TEN(X, n##4) TEN(X, n##5) TEN(X, n##6) TEN(X, n##7) TEN(X, n##8) TEN(X, n##9)
#define ALL(X) HUNDRED(X, 1) HUNDRED(X, 2) HUNDRED(X, 3) HUNDRED(X, 4) HUNDRED(X, 5) HUNDRED(X, 6)
enum { kCount = 600, kFirst = 100 };

static unsigned bodies;
#define DEFINE(n) \
  HOOKED void many_##n(void) { ++bodies; }
ALL(DEFINE)

typedef void Function(void);
#define ADDRESS(n) many_##n,
static Function* const functions[kCount] = {ALL(ADDRESS)};

static unsigned seen[kCount];
static void on_call(uint64_t ip, uint64_t parent_ip, ct_ops* ops, ct_regs* regs) {
  (void)parent_ip, (void)ops, (void)regs;
  for (unsigned i = 0; i < kCount; ++i) {
    if (ip == (uintptr_t)functions[i]) ++seen[i];
  }
}

/// Each of the functions [first, end) is seen once when all are called, and no other; ct_ops_functions()
/// agrees.
static void check_attached(const ct_ops* ops, unsigned first, unsigned end) {
  memset(seen, 0, sizeof seen);
  bodies = 0;
  for (unsigned i = 0; i < kCount; ++i) functions[i]();
  unsigned wrong = 0;
  for (unsigned i = 0; i < kCount; ++i) wrong += seen[i] != (i + kFirst >= first && i + kFirst < end);
  CHECK_EQUAL(wrong, 0);
  CHECK_EQUAL(bodies, kCount);
  CHECK_EQUAL(ct_ops_functions(ops), end - first);
}

TEST(from_one_function_to_many_and_back) {
  ct_ops* ops = ct_new_callback(on_call, NULL, 0);
  for (unsigned round = 0; round < 2; ++round) {
    CHECK_OK(ct_set_filter(ops, "many_300", 1));
    CHECK_OK(ct_register_ops(ops));
    check_attached(ops, 300, 301);
    CHECK_OK(ct_set_filter(ops, "many_3*", 0));
    check_attached(ops, 300, 400);
    CHECK_OK(ct_set_filter(ops, "many_*", 0));
    check_attached(ops, 100, 700);
    CHECK_OK(ct_set_filter(ops, "many_20*", 1));
    check_attached(ops, 200, 210);
    CHECK_OK(ct_set_filter_symbol(ops, "many_699", 1));
    check_attached(ops, 699, 700);
    CHECK_OK(ct_disable_ops(ops));
    check_attached(ops, 0, 0);
    CHECK_OK(ct_enable_ops(ops));
    check_attached(ops, 699, 700);
    CHECK_OK(ct_set_filter(ops, "many_*", 1));
    CHECK_OK(ct_unregister_ops(ops));
    check_attached(ops, 0, 0);
  }
  CHECK_OK(ct_free_ops(ops));
}

TEST(a_filter_exchanged_for_one_that_shares_some_functions) {
  ct_ops* ops = ct_new_callback(on_call, NULL, 0);
  CHECK_OK(ct_set_filter(ops, "many_1[0-4]*", 0));
  CHECK_OK(ct_register_ops(ops));
  check_attached(ops, 100, 150);
  CHECK_OK(ct_set_filter(ops, "many_1[3-8]*", 1));
  check_attached(ops, 130, 190);
  CHECK_OK(ct_set_filter(ops, "many_1[0-3]*", 1));
  check_attached(ops, 100, 140);
  CHECK_OK(ct_unregister_ops(ops));
  check_attached(ops, 0, 0);
  CHECK_OK(ct_free_ops(ops));
}

TEST(all_functions_named_by_symbol_and_by_address) {
  ct_ops* ops = ct_new_callback(on_call, NULL, 0);
  for (unsigned i = kCount; i-- > 0;) {
    char symbol[16];
    snprintf(symbol, sizeof symbol, "many_%u", kFirst + i);
    CHECK_OK(ct_set_filter_symbol(ops, symbol, 0));
    CHECK_OK(ct_set_filter_ip(ops, (uintptr_t)functions[(i + kCount / 2) % kCount], 0, 0));
  }
  CHECK_OK(ct_register_ops(ops));
  check_attached(ops, 100, 700);
  // By address it is still named, until that goes as well.
  CHECK_OK(ct_set_filter(ops, "!many_*", 0));
  check_attached(ops, 100, 700);
  CHECK_OK(ct_set_notrace(ops, "many_[2-6]*", 0));
  check_attached(ops, 100, 200);
  for (unsigned i = 0; i < 50; ++i) CHECK_OK(ct_set_filter_ip(ops, (uintptr_t)functions[i], 1, 0));
  check_attached(ops, 150, 200);
  CHECK_OK(ct_free_ops(ops));
}

static void replacement(void) {}

TEST(a_change_that_fails_leaves_the_functions_as_they_were) {
  ct_ops* other = ct_new_ops(NULL, 0);
  CHECK_OK(ct_set_filter(other, "many_400", 0));
  CHECK_OK(ct_register_redirect(other, (void*)replacement));
  ct_ops* ops = ct_new_callback(on_call, NULL, CT_IPMODIFY);
  CHECK_OK(ct_set_filter(ops, "many_200", 0));
  CHECK_OK(ct_register_ops(ops));
  CHECK_FAILS(ct_set_filter(ops, "many_[2-6]*", 0), EBUSY, "many_400");
  CHECK_EQUAL(ct_ops_functions(ops), 1);
  CHECK_OK(ct_unregister_redirect(other));
  check_attached(ops, 200, 201);
  CHECK_OK(ct_unregister_ops(ops));
  check_attached(ops, 0, 0);
  CHECK_OK(ct_free_ops(ops));
  CHECK_OK(ct_free_ops(other));
}

DIRECT_TRAMPOLINE(count_direct, direct_calls);
DIRECT_TRAMPOLINE(count_other_direct, other_direct_calls);

static void check_direct(unsigned expected, unsigned other) {
  direct_calls = other_direct_calls = 0;
  for (unsigned i = 0; i < kCount; ++i) functions[i]();
  CHECK_EQUAL(direct_calls, expected);
  CHECK_EQUAL(other_direct_calls, other);
}

TEST(direct_calls_of_few_functions_and_of_many_are_exchanged_everywhere) {
  static const struct {
    const char* pattern;
    unsigned count;
  } filters[] = {{"many_30*", 10}, {"many_*", 600}, {"many_400", 1}};
  ct_ops* bystander = ct_new_callback(on_call, NULL, 0);
  CHECK_OK(ct_set_filter(bystander, "many_*", 0));
  CHECK_OK(ct_register_ops(bystander));
  ct_ops* direct = ct_new_ops(NULL, 0);
  CHECK_OK(ct_set_filter(direct, filters[0].pattern, 1));
  CHECK_OK(ct_register_direct(direct, count_direct));
  for (unsigned i = 0; i < 3; ++i) {
    CHECK_OK(ct_set_filter(direct, filters[i].pattern, 1));
    check_direct(filters[i].count, 0);
    CHECK_OK(ct_modify_direct(direct, count_other_direct));
    check_direct(0, filters[i].count);
    CHECK_OK(ct_modify_direct(direct, count_direct));
  }
  CHECK_OK(ct_unregister_direct(direct));
  check_direct(0, 0);
  check_attached(bystander, 100, 700);
  CHECK_OK(ct_free_ops(direct));
  CHECK_OK(ct_free_ops(bystander));
}
