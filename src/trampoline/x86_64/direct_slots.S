// Slots of direct calls for x86-64. A site with a direct call has one for good: its stub (or, with other clients, their
// trampoline) jumps to
//
//      call  *direct      the client's trampoline: (rsp) = here, 8(rsp) = the caller's return address
//      jmp   *body        the function, or what replaces it
//
// through two words of ct_direct_table, so that exchanging or removing a direct call is one store, and a thread is
// either before it or inside the client's trampoline. The return address lies in code with unwind information, and call
// and return stay paired in the processor's predictor.
//
// Register contract: keeps everything but the flags.
#include "trampoline/layout.h"
#include "trampoline/x86_64/native_layout.h"

        .text
        .globl  ct_direct_slots, ct_direct_slots_end, ct_direct_none
        .hidden ct_direct_slots, ct_direct_slots_end, ct_direct_none, ct_direct_table
        .type   ct_direct_slots, @function
        .p2align 6
ct_direct_slots:
        .cfi_startproc
.set slot, 0
.rept CT_DIRECT_SLOTS
        call    *ct_direct_table+slot*CT_DIRECT_TABLE_BYTES(%rip)
        jmp     *ct_direct_table+slot*CT_DIRECT_TABLE_BYTES+8(%rip)
        .p2align 4
  .set slot, slot + 1
.endr
ct_direct_slots_end:
        .cfi_endproc
        .size   ct_direct_slots, . - ct_direct_slots

// What a slot without a client calls.
        .type   ct_direct_none, @function
        .p2align 4
ct_direct_none:
        .cfi_startproc
        ret
        .cfi_endproc
        .size   ct_direct_none, . - ct_direct_none

// What a site without clients runs while it is still, or not yet, switched.
        .globl  ct_pass
        .hidden ct_pass
        .type   ct_pass, @function
        .p2align 4
ct_pass:
        .cfi_startproc
        jmp     *CT_RECORD_TARGET(%r11)
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
