#include "../registers_check.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "../calls.h"

enum { kSp = 2, kGp = 3, kTp = 4, kS1 = 9, kA0 = 10, kA1 = 11, kGeneral = 32, kFloat = 32 };
enum { kRoundingModes = 5, kRoundingShift = 5 };

struct State {
  uint64_t general[kGeneral];
  uint64_t floating[kFloat];
  uint64_t control;
  uint64_t stack[2];
};

extern struct State* registers_result;
void registers_check(const struct State* set, struct State* inside, struct State* after);

static unsigned wrong;

static void fill(void* state, uint32_t seed) {
  uint8_t* bytes = state;
  for (size_t i = 0; i < sizeof(struct State); ++i) {
    seed = seed * 1664525 + 1013904223;
    bytes[i] = (uint8_t)(seed >> 24);
  }
}

static void expect(int right, const char* where, const char* what) {
  if (right) return;
  if (++wrong < 20) printf("%s: %s changed\n", where, what);
}

static void expect_equal(uint64_t a, uint64_t b, const char* where, char kind, int number) {
  char name[16];
  snprintf(name, sizeof name, "%c%d", kind, number);
  expect(a == b, where, name);
}

/// The hook may lose t0 (x5) and t1 (x6); s1 (x9) belongs to the caller, who finds it again, and says nothing
/// to a callee. clang passes arguments in t2 to t6 and ft0 to ft11 too.
static void check_inside(const struct State* set, const struct State* inside, int control_kept) {
  for (int i = 7; i < kGeneral; ++i) {
    if (i != kS1) expect_equal(set->general[i], inside->general[i], "inside", 'x', i);
  }
  for (int i = 0; i < kFloat; ++i) expect_equal(set->floating[i], inside->floating[i], "inside", 'f', i);
  expect(set->stack[0] == inside->stack[0], "inside", "stack argument 0");
  expect(set->stack[1] == inside->stack[1], "inside", "stack argument 1");
  expect(set->control >> kRoundingShift == inside->control >> kRoundingShift, "inside", "rounding mode");
  if (control_kept) expect(set->control == inside->control, "inside", "fcsr");
}

static void check_results(const struct State* result, const struct State* inside, const struct State* after) {
  for (int i = 0; i < 2; ++i) {
    expect_equal(result->general[kA0 + i], after->general[kA0 + i], "after", 'x', kA0 + i);
    expect_equal(result->floating[kA0 + i], after->floating[kA0 + i], "after", 'f', kA0 + i);
  }
  for (int i = kSp; i <= kTp; ++i) expect_equal(inside->general[i], after->general[i], "after", 'x', i);
}

static int is_callee_saved(int number) {
  return number == 8 || number == 9 || (number >= 18 && number <= 27);
}

static void check_after(const struct State* set, const struct State* after) {
  for (int i = 0; i < kGeneral; ++i) {
    if (!is_callee_saved(i)) continue;
    expect_equal(set->general[i], after->general[i], "after", 'x', i);
    expect_equal(set->floating[i], after->floating[i], "after", 'f', i);
  }
  expect(set->control >> kRoundingShift == after->control >> kRoundingShift, "after", "rounding mode");
}

unsigned registers_widths(unsigned widths[kMostRegistersWidths]) {
  widths[0] = sizeof(double);
  return 1;
}

unsigned registers_wrong(unsigned width, unsigned rounds, struct RegistersContract contract) {
  static struct State set, inside, after, result;
  const unsigned wrong_before = wrong;
  (void)width;
  for (uint32_t round = 0; round < rounds; ++round) {
    fill(&set, round * 2 + 1);
    fill(&result, round * 2 + 2);
    set.control = round % kRoundingModes << kRoundingShift | round % 32;
    memset(&inside, 0, sizeof inside);
    memset(&after, 0, sizeof after);
    registers_result = &result;
    registers_check(&set, &inside, &after);
    check_after(&set, &after);
    if (contract.is_callee_called) {
      check_inside(&set, &inside, contract.keeps_all_vectors);
      check_results(&result, &inside, &after);
    } else {
      expect(after.general[kA0] == registers_override, "after", "the override");
      expect(inside.general[kSp] == 0, "inside", "nothing, it should not have been called, but something");
    }
  }
  if (contract.is_callee_called) calls_add("registers_callee", rounds);
  return wrong - wrong_before;
}

unsigned registers_wrong_at_all_widths(unsigned rounds, struct RegistersContract contract) {
  return registers_wrong(sizeof(double), rounds, contract);
}
