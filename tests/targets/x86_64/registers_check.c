#include "../registers_check.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "../calls.h"

enum { kFlagsDirection = 0x400, kUpperHalvesInUse = 0x44 };
enum { kRax, kRbx, kRcx, kRdx, kRsi, kRdi, kRbp, kR8, kR9, kR10, kR11, kR12, kR13, kR14, kR15, kGeneral };

struct State {
  uint64_t general[16];
  uint32_t mxcsr;
  uint16_t x87;
  uint16_t reserved;
  uint64_t flags;
  uint64_t stack[2];
  uint32_t in_use;
  uint8_t padding[28];
  uint8_t vectors[16][64];
};

extern struct State* registers_result;
extern long double registers_st0, registers_st1;
extern int registers_has_in_use;
void registers_check(const struct State* set, struct State* inside, struct State* after, unsigned width);

static const char* const kNames[kGeneral] = {"rax", "rbx", "rcx", "rdx", "rsi", "rdi", "rbp", "r8",
                                             "r9",  "r10", "r11", "r12", "r13", "r14", "r15"};
static unsigned wrong;

static void fill(void* state, uint32_t seed) {
  uint8_t* bytes = state;
  for (size_t i = 0; i < sizeof(struct State); ++i) {
    seed = seed * 1664525 + 1013904223;
    bytes[i] = (uint8_t)(seed >> 24);
  }
}

static void expect(int right, const char* where, const char* what, unsigned width) {
  if (right) return;
  if (++wrong < 20) printf("%s: %s changed (width %u)\n", where, what, width);
}

/// Upper halves that were not in use must not become so: the processor would be slow from then on.
static void check_in_use(const struct State* before, const struct State* then, const char* where,
                         unsigned width) {
  if (!registers_has_in_use) return;
  expect(((before->in_use ^ then->in_use) & kUpperHalvesInUse) == 0, where, "use of upper halves", width);
}

static void check_inside(const struct State* set, const struct State* inside, unsigned width,
                         int vectors_kept) {
  for (int i = 0; i < kGeneral; ++i) {
    // r11 is scratch; rbx belongs to the caller, who finds it again, and says nothing to a callee.
    if (i != kR11 && i != kRbx) expect(set->general[i] == inside->general[i], "inside", kNames[i], width);
  }
  for (int i = 0; i < vectors_kept; ++i) {
    char name[16];
    snprintf(name, sizeof name, "mm%d", i);
    expect(memcmp(set->vectors[i], inside->vectors[i], width) == 0, "inside", name, width);
  }
  expect(set->stack[0] == inside->stack[0], "inside", "stack argument 0", width);
  expect(set->stack[1] == inside->stack[1], "inside", "stack argument 1", width);
  expect(set->mxcsr == inside->mxcsr, "inside", "mxcsr", width);
  expect(set->x87 == inside->x87, "inside", "x87 control word", width);
  expect((inside->flags & kFlagsDirection) == 0, "inside", "direction flag", width);
  check_in_use(set, inside, "inside", width);
}

static void check_results(const struct State* result, const struct State* after, unsigned width) {
  expect(after->general[kRax] == result->general[kRax], "after", "rax", width);
  expect(after->general[kRdx] == result->general[kRdx], "after", "rdx", width);
  expect(memcmp(after->vectors[0], result->vectors[0], width) == 0, "after", "mm0", width);
  expect(memcmp(after->vectors[1], result->vectors[1], width) == 0, "after", "mm1", width);
  expect(registers_st0 == 1.0L, "after", "st0", width);
  expect(registers_st1 > 3.14159L && registers_st1 < 3.1416L, "after", "st1", width);
}

static void check_after(const struct State* set, const struct State* after, unsigned width) {
  static const int kKept[] = {kRbx, kRbp, kR12, kR13, kR14, kR15};
  for (size_t i = 0; i < sizeof kKept / sizeof *kKept; ++i) {
    expect(set->general[kKept[i]] == after->general[kKept[i]], "after", kNames[kKept[i]], width);
  }
  expect(set->mxcsr == after->mxcsr, "after", "mxcsr", width);
  expect(set->x87 == after->x87, "after", "x87 control word", width);
  expect((after->flags & kFlagsDirection) == 0, "after", "direction flag", width);
  check_in_use(set, after, "after", width);
}

/// Does the processor say which parts of its state are in use?
static int has_in_use(void) {
  enum { kOsxsave = 1 << 27, kXgetbv1 = 1 << 2 };
  uint32_t a = 1;
  uint32_t b;
  uint32_t c = 0;
  uint32_t d;
  __asm__("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
  if ((c & kOsxsave) == 0) return 0;
  a = 0xd;
  c = 1;
  __asm__("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
  return (a & kXgetbv1) != 0;
}

unsigned registers_widths(unsigned widths[kMostRegistersWidths]) {
  unsigned count = 0;
  widths[count++] = 16;
  if (__builtin_cpu_supports("avx2")) widths[count++] = 32;
  if (__builtin_cpu_supports("avx512f")) widths[count++] = 64;
  return count;
}

unsigned registers_wrong(unsigned width, unsigned rounds, struct RegistersContract contract) {
  static struct State set, inside, after, result;
  const unsigned wrong_before = wrong;
  registers_has_in_use = has_in_use();
  for (uint32_t round = 0; round < rounds; ++round) {
    fill(&set, round * 2 + 1);
    fill(&result, round * 2 + 2);
    set.mxcsr = 0x1f80 | (round % 4 << 13) | (round % 2 << 15);
    set.x87 = (uint16_t)(0x037f | (round % 4 << 10));
    memset(&inside, 0, sizeof inside);
    memset(&after, 0, sizeof after);
    registers_result = &result;
    registers_check(&set, &inside, &after, width);
    check_after(&set, &after, width);
    if (contract.is_callee_called) {
      check_inside(&set, &inside, width, contract.keeps_all_vectors ? 16 : 8);
      check_results(&result, &after, width);
    } else {
      expect(after.general[kRax] == registers_override, "after", "the override", width);
      expect(registers_st0 != registers_st0, "after", "the empty x87 stack", width);
      expect(inside.flags == 0, "inside", "nothing, it should not have been called, but something", width);
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
