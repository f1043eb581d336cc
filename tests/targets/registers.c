// Poisons every register before a hooked call: the callee must receive every argument register, and
// everything the contract keeps, unchanged at full width; the caller must receive every result register at
// full width, and its own callee-saved registers.
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "calls.h"

enum { kRounds = 3000, kFlagsDirection = 0x400 };
enum { kRax, kRbx, kRcx, kRdx, kRsi, kRdi, kRbp, kR8, kR9, kR10, kR11, kR12, kR13, kR14, kR15, kGeneral };

struct State {
  uint64_t general[16];
  uint32_t mxcsr;
  uint16_t x87;
  uint16_t reserved;
  uint64_t flags;
  uint8_t padding[48];
  uint8_t vectors[16][64];
};

extern struct State* registers_result;
extern long double registers_st0, registers_st1;
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

static void check_inside(const struct State* set, const struct State* inside, unsigned width) {
  for (int i = 0; i < kGeneral; ++i) {
    // r11 is scratch; rbx belongs to the caller, who finds it again, and says nothing to a callee.
    if (i != kR11 && i != kRbx) expect(set->general[i] == inside->general[i], "inside", kNames[i], width);
  }
  // Eight vector registers carry arguments; the others are scratch for a caller, but not for a hook.
  for (int i = 0; i < 16; ++i) {
    char name[8];
    snprintf(name, sizeof name, "mm%d", i);
    expect(memcmp(set->vectors[i], inside->vectors[i], width) == 0, "inside", name, width);
  }
  expect(set->mxcsr == inside->mxcsr, "inside", "mxcsr", width);
  expect(set->x87 == inside->x87, "inside", "x87 control word", width);
  expect((inside->flags & kFlagsDirection) == 0, "inside", "direction flag", width);
}

static void check_after(const struct State* set, const struct State* result, const struct State* after,
                        unsigned width) {
  static const int kKept[] = {kRbx, kRbp, kR12, kR13, kR14, kR15};
  for (size_t i = 0; i < sizeof kKept / sizeof *kKept; ++i) {
    expect(set->general[kKept[i]] == after->general[kKept[i]], "after", kNames[kKept[i]], width);
  }
  expect(after->general[kRax] == result->general[kRax], "after", "rax", width);
  expect(after->general[kRdx] == result->general[kRdx], "after", "rdx", width);
  expect(memcmp(after->vectors[0], result->vectors[0], width) == 0, "after", "mm0", width);
  expect(memcmp(after->vectors[1], result->vectors[1], width) == 0, "after", "mm1", width);
  expect(registers_st0 == 1.0L, "after", "st0", width);
  expect(registers_st1 > 3.14159L && registers_st1 < 3.1416L, "after", "st1", width);
  expect(set->mxcsr == after->mxcsr, "after", "mxcsr", width);
  expect(set->x87 == after->x87, "after", "x87 control word", width);
  expect((after->flags & kFlagsDirection) == 0, "after", "direction flag", width);
}

static void run(unsigned width) {
  static struct State set, inside, after, result;
  for (uint32_t round = 0; round < kRounds; ++round) {
    fill(&set, round * 2 + 1);
    fill(&result, round * 2 + 2);
    set.mxcsr = 0x1f80 | (round % 4 << 13) | (round % 2 << 15);
    set.x87 = (uint16_t)(0x037f | (round % 4 << 10));
    memset(&inside, 0, sizeof inside);
    memset(&after, 0, sizeof after);
    registers_result = &result;
    registers_check(&set, &inside, &after, width);
    check_inside(&set, &inside, width);
    check_after(&set, &result, &after, width);
  }
  calls_add("registers_callee", kRounds);
}

int main(void) {
  run(16);
  if (__builtin_cpu_supports("avx2")) run(32);
  if (__builtin_cpu_supports("avx512f")) run(64);
  printf("wrong %u\n", wrong);
  return wrong == 0 ? 0 : 1;
}
