// Direct calls' trampolines for AArch64: x30 = the way back into the function, x9 = the caller's return
// address. They keep what the function must find, x0 to x8, x18 and vector registers, and return with the two
// exchanged.
#pragma once

#include <stdint.h>

// Whether unwinders get from a trampoline to the hooked function's caller.
enum { kUnwindsFromTrampolines = 1 };
// Whether exceptions do: sites with CALL_OPS call their trampolines from an instruction that the function's
// table of exception handlers does not have.
enum { kThrowsFromTrampolines = 0 };

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
      "  hint #34\n" /* bti c */                                  \
      "  adrp x10, " #counter                                     \
      "\n"                                                        \
      "  add x10, x10, :lo12:" #counter                           \
      "\n"                                                        \
      "1:  ldxr x11, [x10]\n"                                     \
      "  add x11, x11, #1\n"                                      \
      "  stxr w12, x11, [x10]\n"                                  \
      "  cbnz w12, 1b\n"                                          \
      "  mov x10, x30\n"                                          \
      "  mov x30, x9\n"                                           \
      "  ret x10\n"                                               \
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
      "  .cfi_return_column x10\n"                                \
      "  .cfi_signal_frame\n"                                     \
      "  .cfi_register x10, x30\n"                                \
      "  .cfi_register x30, x9\n"                                 \
      "  hint #34\n" /* bti c */                                  \
      "  stp x29, x30, [sp, #-112]!\n"                            \
      "  .cfi_def_cfa_offset 112\n"                               \
      "  .cfi_offset x29, -112\n"                                 \
      "  .cfi_offset x10, -104\n"                                 \
      "  mov x29, sp\n"                                           \
      "  stp x0, x1, [sp, #16]\n"                                 \
      "  stp x2, x3, [sp, #32]\n"                                 \
      "  stp x4, x5, [sp, #48]\n"                                 \
      "  stp x6, x7, [sp, #64]\n"                                 \
      "  stp x8, x9, [sp, #80]\n"                                 \
      "  .cfi_offset x30, -24\n"                                  \
      "  str x18, [sp, #96]\n"                                    \
      "  bl " #function                                           \
      "\n"                                                        \
      "  ldr x18, [sp, #96]\n"                                    \
      "  ldp x8, x9, [sp, #80]\n"                                 \
      "  .cfi_register x30, x9\n"                                 \
      "  ldp x6, x7, [sp, #64]\n"                                 \
      "  ldp x4, x5, [sp, #48]\n"                                 \
      "  ldp x2, x3, [sp, #32]\n"                                 \
      "  ldp x0, x1, [sp, #16]\n"                                 \
      "  ldp x29, x10, [sp], #112\n"                              \
      "  .cfi_def_cfa_offset 0\n"                                 \
      "  .cfi_restore x29\n"                                      \
      "  .cfi_same_value x10\n"                                   \
      "  mov x30, x9\n"                                           \
      "  .cfi_same_value x30\n"                                   \
      "  ret x10\n"                                               \
      "  .cfi_endproc\n"                                          \
      "  .size " #name ", . - " #name                             \
      "\n"                                                        \
      ".popsection\n")

// bti c; mov w0, #0; ret: a function that returns 0.
#define RETURN_0_CODE \
  { 0x5f, 0x24, 0x03, 0xd5, 0x00, 0x00, 0x80, 0x52, 0xc0, 0x03, 0x5f, 0xd6 }
