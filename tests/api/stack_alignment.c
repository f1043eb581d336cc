// A function that is called with a misaligned stack, as GCC does within a source file for functions that need
// no alignment (-fipa-stack-alignment): its handlers find the stack aligned.
#include <stddef.h>

#include "check.h"

HOOKED int work(int value) {
  __asm__ volatile("");
  return value + 1;
}

/// Calls work(1) with the return address at a multiple of 16 bytes, or as the ABI wants it, 8 more.
__attribute__((noinline)) static int call_work(int is_aligned) {
  int result = 0;
  __asm__ volatile(
      "movq %%rsp, %%rbx\n"
      "subq $256, %%rsp\n"  // behind what the function may have below its stack pointer
      "andq $-16, %%rsp\n"
      "testl %[aligned], %[aligned]\n"
      "jnz 1f\n"
      "subq $8, %%rsp\n"
      "1: movl $1, %%edi\n"
      "call work\n"
      "movq %%rbx, %%rsp\n"
      : "=&a"(result)
      : [aligned] "r"(is_aligned)
      : "rbx", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11", "memory", "cc");
  return result;
}

static volatile unsigned aligned, misaligned;

static void look(const void* frame) {
  if ((uintptr_t)frame % 16 == 0) {
    ++aligned;
  } else {
    ++misaligned;
  }
}

static void on_call(uint64_t ip, uint64_t parent_ip, ct_ops* ops, ct_regs* regs) {
  (void)parent_ip, (void)ops;
  CHECK_EQUAL(ip, (uintptr_t)work);
  CHECK_EQUAL(ct_regs_argument(regs, 0), 1);
  look(__builtin_frame_address(0));
}
static int on_entry(uint64_t ip, uint64_t parent_ip, ct_ops* ops, ct_regs* regs, void* data) {
  on_call(ip, parent_ip, ops, regs);
  *(uint64_t*)data = 7;
  look(__builtin_frame_address(0));
  return 0;
}
static void on_exit_of_call(uint64_t ip, uint64_t parent_ip, ct_ops* ops, ct_regs* regs, void* data) {
  (void)parent_ip, (void)ops;
  CHECK_EQUAL(ip, (uintptr_t)work);
  CHECK_EQUAL(ct_regs_return_value(regs), 2);
  CHECK_EQUAL(*(uint64_t*)data, 7);
  look(__builtin_frame_address(0));
}

static void check(int callbacks, int probes, unsigned flags) {
  ct_ops* ops[4];
  int count = 0;
  for (int i = 0; i < callbacks; ++i) ops[count++] = ct_new_callback(on_call, NULL, flags);
  for (int i = 0; i < probes; ++i) ops[count++] = ct_new_probe(on_entry, on_exit_of_call, 8, NULL, flags);
  for (int i = 0; i < count; ++i) {
    CHECK_OK(ct_set_filter(ops[i], "work", 0));
    CHECK_OK(ct_register_ops(ops[i]));
  }
  for (int is_aligned = 0; is_aligned < 2; ++is_aligned) {
    const unsigned before = aligned;
    call_work(is_aligned);
    CHECK_EQUAL(aligned - before, (unsigned)callbacks + 3 * (unsigned)probes);
  }
  CHECK_EQUAL(misaligned, 0);
  for (int i = 0; i < count; ++i) CHECK_OK(ct_free_ops(ops[i]));
}

TEST(of_a_callback) { check(1, 0, 0); }
TEST(of_a_probe) { check(0, 1, 0); }
TEST(of_a_list_of_callbacks) { check(2, 0, 0); }
TEST(of_a_list) { check(1, 2, 0); }
TEST(of_a_callback_without_vectors) { check(1, 0, CT_GENERAL_REGS_ONLY); }
TEST(of_a_probe_without_vectors) { check(0, 1, CT_GENERAL_REGS_ONLY); }
TEST(of_a_list_without_vectors) { check(1, 2, CT_GENERAL_REGS_ONLY); }
