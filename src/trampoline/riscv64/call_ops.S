// CALL_OPS for RISC-V: sites of the form  literal | auipc t0 | jalr t0, stub .  The literal is the address of the site's
// record, at all times, so which clients a call gets is one word of data here too. The stub (isa/riscv64/encode.h:
// call_stub) finds the literal from t0 and jumps through the record's first word.
//
//        at a record's handler     at a trampoline for handlers     at the body
//   t0   back into the function    the record                       anything
//   ra   the caller's return       the caller's return              the caller's return
//
// Processors take t0 for "the other link register": JALR has put "back into the function" on their stack of predicted
// returns, so the way back is a JR t0. With entry handlers and direct calls every return answers its call; where the body is
// called around, or replaced, one is left over, and the processor predicts some returns wrong.
//
// Register contract: t0 and t1 are lost.
#include "trampoline/layout.h"
#include "trampoline/riscv64/native_layout.h"

        .text
        .option norelax
        .hidden ct_direct_table

.macro FUNCTION name
        .globl  \name
        .hidden \name
        .type   \name, @function
        .p2align 4
\name:
        .cfi_startproc
.endm

.macro END_FUNCTION name
        .cfi_endproc
        .size   \name, . - \name
.endm

// As a record's handler: a trampoline that is made for jumps. (Handlers at the entry and nothing else have trampolines
// of their own, in entry_handlers.S.)
.macro CALLED name
        .hidden ct_\name
FUNCTION ct_called_\name
        ld      t0, CT_CALLED_LITERAL(t0)
        lla     t1, ct_\name
        jr      t1
END_FUNCTION ct_called_\name
.endm
        CALLED  recorder
        CALLED  bare_hook
        CALLED  entry
        CALLED  entry_vectors
        CALLED  probe
        CALLED  probe_vectors

// As a record's handler: no client.
FUNCTION ct_called_pass
        jr      t0
END_FUNCTION ct_called_pass

// As a record's handler: a redirect, or a direct call with one, and no handlers. A lone direct call is the handler itself.
FUNCTION ct_called_target
        ld      t0, CT_CALLED_LITERAL(t0)
        ld      t1, CT_RECORD_TARGET(t0)
        jr      t1
END_FUNCTION ct_called_target

// As a record's target: the body.
FUNCTION ct_called_body
        ld      t0, CT_RECORD_ENTRY(t0)
        addi    t0, t0, CT_CALLED_BYTES
        jr      t0
END_FUNCTION ct_called_body

// As a record's target: the direct call, behind the handlers, then the body.
FUNCTION ct_called_direct
        addi    sp, sp, -16
        .cfi_def_cfa_offset 16
        sd      t2, (sp)
        lhu     t1, CT_RECORD_SLOT(t0)
        slli    t1, t1, 4
        lla     t2, ct_direct_table
        add     t1, t1, t2
        ld      t2, (sp)
        addi    sp, sp, 16
        .cfi_def_cfa_offset 0
        ld      t0, 8(t1)
        ld      t1, (t1)
        jr      t1
END_FUNCTION ct_called_direct
.if CT_DIRECT_TABLE_BYTES != 1 << 4
        .error "ct_called_direct shifts by another number"
.endif

        .section .note.GNU-stack, "", @progbits
