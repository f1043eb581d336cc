// Offsets on AArch64: of what lies on the stack while handlers run, and others. Included by .S files: macros
// only, on purpose. trampoline/aarch64/regs.h asserts that they match.
#pragma once

// ct_regs: on the stack while handlers run. It begins with a frame record, to which x29 points, and ends
// where the stack pointer was at the function's entry. Vector registers lie before it. What is used in pairs
// is together.
#define CT_REGS_FP 0
#define CT_REGS_LR 8
#define CT_REGS_GUARD 16
#define CT_REGS_FLAGS 24
#define CT_REGS_WIDTH 28
#define CT_REGS_RECORD 32
#define CT_REGS_X18 40
#define CT_REGS_X0 48
#define CT_REGS_X8 112
#define CT_REGS_BODY 120
#define CT_REGS_UNWOUND_IP 128
#define CT_REGS_UNWOUND_SP 136
#define CT_REGS_SET 144
#define CT_REGS_SAVED_WORD 152
#define CT_REGS_TARGET 160
#define CT_REGS_PARENT 168
#define CT_REGS_BYTES 176
#define CT_REGS_OFFSET CT_REGS_BYTES  // from ct_regs up to the stack pointer at the entry

// Before ct_regs: eight vector registers. Where there is SVE they have its length, and before them are z8 to
// z23, and before these p0 to p15.
#define CT_VECTOR_BYTES 16
#define CT_VECTORS 8

// What an override returns, word by word: the result's registers hold arguments that later handlers ask for.
#define CT_REGS_OVERRIDE_0 CT_REGS_UNWOUND_IP
#define CT_REGS_OVERRIDE_1 CT_REGS_UNWOUND_SP

// ct_regs::width: the length of a vector register in bytes, and
#define CT_WIDTH_SVE 0x10000

// Code of a direct call's slot
#define CT_DIRECT_SLOT_BYTES 32
