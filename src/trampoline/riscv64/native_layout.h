// Offsets on RISC-V: of what lies on the stack while handlers run, and others. Included by .S files: macros
// only, on purpose. trampoline/riscv64/regs.h asserts that they match.
#pragma once

// ct_regs: on the stack while handlers run. It ends where the stack pointer was at the function's entry, with
// a frame record of which s0 points to the end. Vector registers lie before it.
#define CT_REGS_UNWOUND_IP 0
#define CT_REGS_SET 8
#define CT_REGS_GUARD 16
#define CT_REGS_SAVED_WORD 24
#define CT_REGS_RECORD 32
#define CT_REGS_FLAGS 40
#define CT_REGS_WIDTH 44
#define CT_REGS_TARGET 48
#define CT_REGS_PARENT 56
#define CT_REGS_UNWOUND_SP 64
#define CT_REGS_T2 72
#define CT_REGS_A0 112
#define CT_REGS_BODY 176
#define CT_REGS_FP 192
#define CT_REGS_RA 200
#define CT_REGS_BYTES 208
#define CT_REGS_OFFSET CT_REGS_BYTES  // from ct_regs up to the stack pointer at the entry

// Before ct_regs: fa0 to fa7, and before these ft0 to ft11.
#define CT_VECTOR_BYTES 8
#define CT_VECTORS 8
#define CT_VECTORS_BYTES (CT_VECTOR_BYTES * (CT_VECTORS + 12))

// What an override returns, word by word: the result's registers hold arguments that later handlers ask for.
#define CT_REGS_OVERRIDE_0 CT_REGS_UNWOUND_IP
#define CT_REGS_OVERRIDE_1 CT_REGS_UNWOUND_SP

// CALL_OPS: from the way back into the function to the literal, over the call and the literal
#define CT_CALLED_BYTES 8
#define CT_CALLED_LITERAL (-CT_CALLED_BYTES - 8)

// Code of a direct call's slot
#define CT_DIRECT_SLOT_BYTES 32
