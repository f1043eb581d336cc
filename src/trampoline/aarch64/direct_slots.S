// Slots of direct calls for AArch64. A site with a direct call has one for good: its stub (or, with other clients, their
// trampoline) jumps to
//
//      mov  x9, x30       the caller's return address
//      blr  direct        the client's trampoline: x30 = here, x9 = the caller's return address
//      br   body          the function, or what replaces it
//
// through two words of ct_direct_table, so that exchanging or removing a direct call is one store, and a thread is
// either before it or inside the client's trampoline. A client's trampoline keeps all that belongs to the program, as
// the kernel's do, and goes back with x30 and x9 exchanged:
//
//      mov  x10, x30;  mov  x30, x9;  ret  x10
//
// so call and return stay paired in the processor's predictor, and the function finds the caller's return address.
//
// Register contract: x9 to x17 and the flags are lost.
#include "trampoline/aarch64/native_layout.h"
#include "trampoline/layout.h"

        .text
        .globl  ct_direct_slots, ct_direct_slots_end, ct_direct_none
        .hidden ct_direct_slots, ct_direct_slots_end, ct_direct_none, ct_direct_table
        .type   ct_direct_slots, %function
        .p2align 6
ct_direct_slots:
        .cfi_startproc
        // While a client's trampoline runs the caller's return address is where that has put it, and its unwind table has to
        // say so: its return address (.cfi_return_column) is what was in x30, and x30 is what was in x9. One that takes x30
        // for both brings the slot's own address here, and then this is the last frame instead of being its own caller. A
        // slot's address is known by the `br x16` behind it.
        // DW_CFA_val_expression(x30): DW_OP_breg30 8; DW_OP_deref_size 4; DW_OP_const4u 0xd61f0200; DW_OP_ne;
        // DW_OP_breg30 0; DW_OP_mul.
        .cfi_escape 0x16, 30, 13, 0x8e, 8, 0x94, 4, 0x0c, 0x00, 0x02, 0x1f, 0xd6, 0x2e, 0x8e, 0, 0x1e
.set slot, 0
.rept CT_DIRECT_SLOTS
        hint    #34  // bti c
        mov     x9, x30
        adrp    x16, ct_direct_table + slot * CT_DIRECT_TABLE_BYTES
        ldr     x16, [x16, :lo12:ct_direct_table + slot * CT_DIRECT_TABLE_BYTES]
        blr     x16
        adrp    x16, ct_direct_table + slot * CT_DIRECT_TABLE_BYTES + 8
        ldr     x16, [x16, :lo12:ct_direct_table + slot * CT_DIRECT_TABLE_BYTES + 8]
        br      x16
  .set slot, slot + 1
.endr
ct_direct_slots_end:
        .cfi_endproc
        .size   ct_direct_slots, . - ct_direct_slots
  .if ct_direct_slots_end - ct_direct_slots != CT_DIRECT_SLOTS * CT_DIRECT_SLOT_BYTES
        .error "CT_DIRECT_SLOT_BYTES is wrong"
  .endif

// What a slot without a client calls.
        .type   ct_direct_none, %function
        .p2align 4
ct_direct_none:
        .cfi_startproc
        .cfi_register 30, 9
        hint    #34
        mov     x10, x30
        mov     x30, x9
        ret     x10
        .cfi_endproc
        .size   ct_direct_none, . - ct_direct_none

// What a site without clients runs while it is still, or not yet, switched.
        .globl  ct_pass
        .hidden ct_pass
        .type   ct_pass, %function
        .p2align 4
ct_pass:
        .cfi_startproc
        hint    #34
        ldr     x16, [x17, #CT_RECORD_TARGET]
        br      x16
        .cfi_endproc
        .size   ct_pass, . - ct_pass

        // Two words a slot.
        .bss
        .globl  ct_direct_table
        .type   ct_direct_table, %object
        .p2align 6
ct_direct_table:
        .zero   CT_DIRECT_SLOTS * CT_DIRECT_TABLE_BYTES
        .size   ct_direct_table, . - ct_direct_table

        .section .note.GNU-stack, "", %progbits
