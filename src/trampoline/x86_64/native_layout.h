// Offsets on x86-64: of what lies on the stack while handlers run, and others. Included by .S files: macros
// only, on purpose. trampoline/x86_64/regs.h asserts that they match.
#pragma once

// ct_regs: on the stack while handlers run. Its end lies CT_REGS_BELOW bytes below the return slot, so that
// the scratch registers that a trampoline saves first are in their places already. Vector registers lie
// before it.
#define CT_REGS_SET 8
#define CT_REGS_GUARD 16
#define CT_REGS_SAVED_WORD 24
#define CT_REGS_FLAGS 40
#define CT_REGS_WIDTH 44
#define CT_REGS_TARGET 48
#define CT_REGS_PARENT 56
#define CT_REGS_UNWOUND_SP 64
#define CT_REGS_R10 72
#define CT_REGS_R9 80
#define CT_REGS_R8 88
#define CT_REGS_RDI 96
#define CT_REGS_R11 104
#define CT_REGS_RSI 112
#define CT_REGS_RCX 120
#define CT_REGS_RDX 128
#define CT_REGS_RAX 136
#define CT_REGS_BYTES 144
#define CT_REGS_BELOW 8
#define CT_REGS_OFFSET (CT_REGS_BYTES + CT_REGS_BELOW)  // from ct_regs up to the return slot

// Before ct_regs: eight vector registers of up to 64 bytes, two x87 registers.
#define CT_VECTOR_SLOT 64
#define CT_X87_BYTES 32
#define CT_VECTORS_BYTES (8 * CT_VECTOR_SLOT + CT_X87_BYTES)

// Code of a direct call's slot
#define CT_DIRECT_SLOT_BYTES 16

// In assembly, as an operand
#define IMPORT(name) ct_imports + CT_IMPORT_##name(% rip)
