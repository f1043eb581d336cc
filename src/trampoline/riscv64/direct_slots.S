// Slots of direct calls for RISC-V. A site with a direct call has one for good: its stub (or, with other clients, their
// trampoline) jumps to
//
//      jalr  t0, direct     the client's trampoline: t0 = here, ra = the caller's return address
//      jr    body           the function, or what replaces it
//
// through two words of ct_direct_table, so that exchanging or removing a direct call is one store, and a thread is
// either before it or inside the client's trampoline. A client's trampoline keeps all that belongs to the program and
// goes back by `jr t0`, as the kernel's do. Processors take t0 for "the other link register", so that call and return
// stay paired in their predictors.
//
// Register contract: t0 and t1 are lost.
#include "trampoline/layout.h"
#include "trampoline/riscv64/native_layout.h"

        .text
        // All slots have the same length.
        .option norelax
        .option norvc
        .globl  ct_direct_slots, ct_direct_slots_end, ct_direct_none
        .hidden ct_direct_slots, ct_direct_slots_end, ct_direct_none, ct_direct_table
        .type   ct_direct_slots, @function
        .p2align 6
ct_direct_slots:
        // Also while a client's trampoline runs the caller's return address is in ra.
        .cfi_startproc
.set slot, 0
.rept CT_DIRECT_SLOTS
        ld      t1, ct_direct_table + slot * CT_DIRECT_TABLE_BYTES
        jalr    t0, 0(t1)
        ld      t1, ct_direct_table + slot * CT_DIRECT_TABLE_BYTES + 8
        jr      t1
  .set slot, slot + 1
        .org    ct_direct_slots + slot * CT_DIRECT_SLOT_BYTES  // an error if the slot is longer
.endr
ct_direct_slots_end:
        .cfi_endproc
        .size   ct_direct_slots, . - ct_direct_slots

// What a slot without a client calls.
        .type   ct_direct_none, @function
        .p2align 4
ct_direct_none:
        .cfi_startproc
        .cfi_return_column t0
        jr      t0
        .cfi_endproc
        .size   ct_direct_none, . - ct_direct_none

// What a site without clients runs while it is still, or not yet, switched.
        .globl  ct_pass
        .hidden ct_pass
        .type   ct_pass, @function
        .p2align 4
ct_pass:
        .cfi_startproc
        ld      t1, CT_RECORD_TARGET(t0)
        jr      t1
        .cfi_endproc
        .size   ct_pass, . - ct_pass

        // Two words a slot.
        .bss
        .globl  ct_direct_table
        .type   ct_direct_table, @object
        .p2align 6
ct_direct_table:
        .zero   CT_DIRECT_SLOTS * CT_DIRECT_TABLE_BYTES
        .size   ct_direct_table, . - ct_direct_table

        .section .note.GNU-stack, "", @progbits
