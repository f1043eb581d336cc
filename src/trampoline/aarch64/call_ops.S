// CALL_OPS for AArch64: sites of the form  literal | [bti c] | mov x9, x30 | bl stub .  The literal is the address of
// the site's record, at all times, so which clients a call gets is one word of data here too. The stub
// (isa/aarch64/encode.h: call_stub) finds the literal from x30 and jumps through the record's first word.
//
//        at a record's handler   at a trampoline for handlers           at the body
//   x9   the caller's return     anything                               anything
//   x30  back into the function  the caller's return                    the caller's return
//   x17  the record              the record                             anything
//
// BL has put "back into the function" on the processor's stack of predicted returns, so the way back is a RET, which also
// needs no landing pad. With entry handlers and direct calls every RET answers the BL or BLR that it belongs to; where the
// body is called around, or replaced, one is left over, and the processor predicts some returns wrong.
//
// Register contract: x9 to x17 and the flags are lost.
#include "trampoline/aarch64/call_frame.inc"

        .text
        .hidden ct_direct_table

.macro FUNCTION name
        .globl  \name
        .hidden \name
        .type   \name, %function
        .p2align 4
\name:
        .cfi_startproc
        BTI_C
.endm

.macro END_FUNCTION name
        .cfi_endproc
        .size   \name, . - \name
.endm

// As a record's handler: a trampoline that is made for jumps. (Handlers at the entry and nothing else have trampolines
// of their own, in entry_handlers.S.)
.macro CALLED name
FUNCTION ct_called_\name
        .cfi_register 30, 9
        mov     x30, x9
        .cfi_same_value 30
        adr     x16, ct_\name
        br      x16
END_FUNCTION ct_called_\name
.endm
        .hidden ct_recorder, ct_bare_hook, ct_entry, ct_entry_vectors, ct_probe, ct_probe_vectors
        CALLED  recorder
        CALLED  bare_hook
        CALLED  entry
        CALLED  entry_vectors
        CALLED  probe
        CALLED  probe_vectors

// As a record's handler: no client.
FUNCTION ct_called_pass
        .cfi_register 30, 9
        mov     x10, x30
        mov     x30, x9
        .cfi_same_value 30
        ret     x10
END_FUNCTION ct_called_pass

// As a record's handler: a redirect, or a direct call with one, and no handlers. A lone direct call is the handler itself.
FUNCTION ct_called_target
        .cfi_register 30, 9
        mov     x30, x9
        .cfi_same_value 30
        ldr     x16, [x17, #CT_RECORD_TARGET]
        br      x16
END_FUNCTION ct_called_target

// As a record's target: the body, behind the landing pad, if there is one, and two instructions.
FUNCTION ct_called_body
        ldr     x16, [x17, #CT_RECORD_ENTRY]
        ldrb    w15, [x17, #CT_RECORD_LANDING_PAD]
        and     x15, x15, #15
        add     x16, x16, x15
        add     x16, x16, #8
        ret     x16
END_FUNCTION ct_called_body

// As a record's target: the direct call, behind the handlers, then the body.
FUNCTION ct_called_direct
        mov     x9, x30
        .cfi_register 30, 9
        ldrh    w15, [x17, #CT_RECORD_SLOT]
        adrp    x16, ct_direct_table
        add     x16, x16, :lo12:ct_direct_table
        add     x16, x16, x15, lsl #4
        ldp     x16, x30, [x16]
        br      x16
END_FUNCTION ct_called_direct
.if CT_DIRECT_TABLE_BYTES != 1 << 4
        .error "ct_called_direct shifts by another number"
.endif

        .section .note.GNU-stack, "", %progbits
