// Direct calls' trampolines for x86-64: called from the slot of the direct call, with the caller's return
// address above theirs. They keep what the function must find: all registers but r11 and the flags.
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
      ".hidden " #name                                            \
      "\n"                                                        \
      ".globl " #name "\n" #name                                  \
      ":\n"                                                       \
      "  endbr64\n"                                               \
      "  lock incq " #counter                                     \
      "(%rip)\n"                                                  \
      "  ret\n"                                                   \
      ".popsection\n")

// Calls a function with the first argument, which must not change vector registers if the hooked one has
// some.
#define CALLING_TRAMPOLINE(name, function)                        \
  __attribute__((visibility("hidden"))) extern const char name[]; \
  __asm__(                                                        \
      ".pushsection .text\n"                                      \
      ".type " #name                                              \
      ", @function\n"                                             \
      ".hidden " #name                                            \
      "\n"                                                        \
      ".globl " #name "\n" #name                                  \
      ":\n"                                                       \
      "  .cfi_startproc\n"                                        \
      "  endbr64\n"                                               \
      "  pushq %rdi\n"                                            \
      "  .cfi_adjust_cfa_offset 8\n"                              \
      "  pushq %rax\n"                                            \
      "  .cfi_adjust_cfa_offset 8\n"                              \
      "  call " #function                                         \
      "\n"                                                        \
      "  popq %rax\n"                                             \
      "  .cfi_adjust_cfa_offset -8\n"                             \
      "  popq %rdi\n"                                             \
      "  .cfi_adjust_cfa_offset -8\n"                             \
      "  ret\n"                                                   \
      "  .cfi_endproc\n"                                          \
      "  .size " #name ", . - " #name                             \
      "\n"                                                        \
      ".popsection\n")

// endbr64; xor %eax, %eax; ret: a function that returns 0.
#define RETURN_0_CODE \
  { 0xf3, 0x0f, 0x1e, 0xfa, 0x31, 0xc0, 0xc3 }
