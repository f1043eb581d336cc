// Direct calls' trampolines: they count themselves and touch no register but the flags.
#pragma once

#include <stdint.h>

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
