#include "../registers_check.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/auxv.h>

#include "../calls.h"

struct State {
  uint64_t general[32];  // x0 to x30, sp
  uint64_t control;      // fpcr
  uint64_t reserved;
  uint64_t stack[2];
  uint8_t predicates[16][32];
  uint8_t vectors[32][256];
};
_Static_assert(offsetof(struct State, predicates) == 288 && offsetof(struct State, vectors) == 800,
               "as in registers_call.S");

extern struct State* registers_result;
void registers_check(const struct State* set, struct State* inside, struct State* after, unsigned width);

static unsigned wrong;

static void fill(void* state, uint32_t seed) {
  uint8_t* bytes = state;
  for (size_t i = 0; i < sizeof(struct State); ++i) {
    seed = seed * 1664525 + 1013904223;
    bytes[i] = (uint8_t)(seed >> 24);
  }
}

static void expect(int right, const char* where, const char* what, int number, unsigned width) {
  if (right) return;
  if (++wrong < 20) printf("%s: %s%d changed (width %u)\n", where, what, number, width);
}

static void expect_general(const struct State* a, const struct State* b, const char* where, int first,
                           int last) {
  for (int i = first; i <= last; ++i) expect(a->general[i] == b->general[i], where, "x", i, 8);
}

static void expect_vectors(const struct State* a, const struct State* b, const char* where, int first,
                           int last, unsigned width) {
  for (int i = first; i <= last; ++i) {
    expect(memcmp(a->vectors[i], b->vectors[i], width) == 0, where, "v", i, width);
  }
}

// x9 to x17 carry nothing; x19 is the caller's, who finds it again, and says nothing to a callee; x30 is the
// return address.
static void check_inside(const struct State* set, const struct State* inside, unsigned width, int keeps_all) {
  expect_general(set, inside, "inside", 0, 8);
  expect_general(set, inside, "inside", 18, 18);
  expect_general(set, inside, "inside", 20, 29);
  expect_vectors(set, inside, "inside", 0, 7, width);
  expect_vectors(set, inside, "inside", 8, 15, keeps_all ? width : 8);
  if (keeps_all) expect_vectors(set, inside, "inside", 16, 31, width);
  if (width > 16) {
    expect_vectors(set, inside, "inside", 8, 23, width);
    for (int i = 0; i < 16; ++i) {
      expect(memcmp(set->predicates[i], inside->predicates[i], width / 8) == 0, "inside", "p", i, width);
    }
  }
  expect(memcmp(set->stack, inside->stack, sizeof set->stack) == 0, "inside", "stack arguments from ", 0, 8);
  expect(set->control == inside->control, "inside", "fpcr ", 0, 8);
}

static void check_results(const struct State* result, const struct State* after, unsigned width) {
  expect_general(result, after, "after", 0, 1);
  expect_vectors(result, after, "after", 0, 3, width);
}

static void check_after(const struct State* set, const struct State* after) {
  expect_general(set, after, "after", 19, 29);
  expect_vectors(set, after, "after", 8, 15, 8);
  expect(set->control == after->control, "after", "fpcr ", 0, 8);
}

unsigned registers_widths(unsigned widths[kMostRegistersWidths]) {
  unsigned count = 0;
  widths[count++] = 16;
  if ((getauxval(AT_HWCAP) & HWCAP_SVE) != 0) {
    uint64_t bytes;
    __asm__(".arch_extension sve\n rdvl %0, #1" : "=r"(bytes));
    widths[count++] = (unsigned)bytes;
  }
  return count;
}

unsigned registers_wrong(unsigned width, unsigned rounds, struct RegistersContract contract) {
  static struct State set, inside, after, result;
  const unsigned wrong_before = wrong;
  for (uint32_t round = 0; round < rounds; ++round) {
    fill(&set, round * 2 + 1);
    fill(&result, round * 2 + 2);
    set.control = (uint64_t)(round % 4) << 22;
    memset(&inside, 0, sizeof inside);
    memset(&after, 0, sizeof after);
    registers_result = &result;
    registers_check(&set, &inside, &after, width);
    check_after(&set, &after);
    if (contract.is_callee_called) {
      check_inside(&set, &inside, width, contract.keeps_all_vectors);
      check_results(&result, &after, width);
    } else {
      expect(after.general[0] == registers_override, "after", "the override: x", 0, 8);
      expect(inside.general[31] == 0, "inside", "nothing, it should not have been called: x", 31, 8);
    }
  }
  if (contract.is_callee_called) calls_add("registers_callee", rounds);
  return wrong - wrong_before;
}

unsigned registers_wrong_at_all_widths(unsigned rounds, struct RegistersContract contract) {
  unsigned widths[kMostRegistersWidths];
  const unsigned count = registers_widths(widths);
  unsigned sum = 0;
  for (unsigned i = 0; i < count; ++i) sum += registers_wrong(widths[i], rounds, contract);
  return sum;
}
