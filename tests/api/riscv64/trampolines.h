// Direct calls' trampolines for RISC-V: t0 = the way back into the function, ra = the caller's return
// address. They keep what the function must find: a0 to a7, t2 to t6, vector registers, and ra.
#pragma once

#include <stdint.h>

// Whether unwinders get from a trampoline to the hooked function's caller.
enum { kUnwindsFromTrampolines = 1 };
// Whether exceptions do.
enum { kThrowsFromTrampolines = 1 };

// Counts itself. C code may put it into any scope, C++ into extern "C".
#define DIRECT_TRAMPOLINE(name, counter)                          \
  __attribute__((visibility("hidden"), used)) uint64_t counter;   \
  __attribute__((visibility("hidden"))) extern const char name[]; \
  __asm__(                                                        \
      ".pushsection .text\n"                                      \
      ".balign 4\n"                                               \
      ".hidden " #name                                            \
      "\n"                                                        \
      ".globl " #name "\n" #name                                  \
      ":\n"                                                       \
      "  addi sp, sp, -16\n"                                      \
      "  sd t2, 0(sp)\n"                                          \
      "  li t2, 1\n"                                              \
      "  lla t1, " #counter                                       \
      "\n"                                                        \
      "  amoadd.d zero, t2, (t1)\n"                               \
      "  ld t2, 0(sp)\n"                                          \
      "  addi sp, sp, 16\n"                                       \
      "  jr t0\n"                                                 \
      ".popsection\n")

// Calls a function with the first argument, which must not change vector registers if the hooked one has
// some.
#define CALLING_TRAMPOLINE(name, function)                        \
  __attribute__((visibility("hidden"))) extern const char name[]; \
  __asm__(                                                        \
      ".pushsection .text\n"                                      \
      ".balign 4\n"                                               \
      ".type " #name                                              \
      ", @function\n"                                             \
      ".hidden " #name                                            \
      "\n"                                                        \
      ".globl " #name "\n" #name                                  \
      ":\n"                                                       \
      "  .cfi_startproc\n"                                        \
      "  .cfi_return_column t0\n"                                 \
      "  addi sp, sp, -128\n"                                     \
      "  .cfi_def_cfa_offset 128\n"                               \
      "  sd t0, 120(sp)\n"                                        \
      "  .cfi_offset t0, -8\n"                                    \
      "  sd ra, 112(sp)\n"                                        \
      "  .cfi_offset ra, -16\n"                                   \
      "  sd a0, 0(sp)\n"                                          \
      "  sd a1, 8(sp)\n"                                          \
      "  sd a2, 16(sp)\n"                                         \
      "  sd a3, 24(sp)\n"                                         \
      "  sd a4, 32(sp)\n"                                         \
      "  sd a5, 40(sp)\n"                                         \
      "  sd a6, 48(sp)\n"                                         \
      "  sd a7, 56(sp)\n"                                         \
      "  sd t2, 64(sp)\n"                                         \
      "  sd t3, 72(sp)\n"                                         \
      "  sd t4, 80(sp)\n"                                         \
      "  sd t5, 88(sp)\n"                                         \
      "  sd t6, 96(sp)\n"                                         \
      "  call " #function                                         \
      "\n"                                                        \
      "  ld a0, 0(sp)\n"                                          \
      "  ld a1, 8(sp)\n"                                          \
      "  ld a2, 16(sp)\n"                                         \
      "  ld a3, 24(sp)\n"                                         \
      "  ld a4, 32(sp)\n"                                         \
      "  ld a5, 40(sp)\n"                                         \
      "  ld a6, 48(sp)\n"                                         \
      "  ld a7, 56(sp)\n"                                         \
      "  ld t2, 64(sp)\n"                                         \
      "  ld t3, 72(sp)\n"                                         \
      "  ld t4, 80(sp)\n"                                         \
      "  ld t5, 88(sp)\n"                                         \
      "  ld t6, 96(sp)\n"                                         \
      "  ld ra, 112(sp)\n"                                        \
      "  .cfi_restore ra\n"                                       \
      "  ld t0, 120(sp)\n"                                        \
      "  .cfi_restore t0\n"                                       \
      "  addi sp, sp, 128\n"                                      \
      "  .cfi_def_cfa_offset 0\n"                                 \
      "  jr t0\n"                                                 \
      "  .cfi_endproc\n"                                          \
      "  .size " #name ", . - " #name                             \
      "\n"                                                        \
      ".popsection\n")

// li a0, 0; ret: a function that returns 0.
#define RETURN_0_CODE \
  { 0x13, 0x05, 0x00, 0x00, 0x67, 0x80, 0x00, 0x00 }
