// Trampolines that run clients' handlers at the entry only: ct_entry for handlers that use general registers only,
// ct_entry_vectors for others; ct_called_entry_alone and ct_called_entry_vectors_alone for sites with CALL_OPS that have
// nothing but handlers. Register contract, stack and steps: handlers.inc, and for the latter two call_ops.S.
//
// Unwinding: functions with a constant stack frame.
#include "trampoline/riscv64/handlers.inc"

        .section calltap_trampolines, "ax", @progbits
        .hidden ct_imports, ct_personality_reference, ct_epoch, __start_calltap_trampolines, __stop_calltap_trampolines

// `called`: with the way back into the function in a register, by which the call is answered.
.macro ENTRY name, vectors, called=0
        .globl  \name, \name\()_called, \name\()_threw
        .hidden \name, \name\()_called, \name\()_threw
        .type   \name, @function
        .p2align 6
\name:
        .cfi_startproc
        .cfi_personality 0x9b, ct_personality_reference
        BEGIN   \name, \vectors, 0, \called
        COUNT_HIT
        ld      a2, CT_SET_CLIENT(a5)
        li      a4, 0
        CALL_ENTRY BASE(\vectors)
\name\()_called:
  .if \vectors
        RESTORE_VECTORS
  .endif
        lw      t1, BASE(\vectors) + CT_REGS_FLAGS(sp)
        bnez    t1, .Lchanged_\name
        LEAVE_GUARD_FAST BASE(\vectors)
.Lunchanged_\name:
  .if \called
        RESTORE_ARGUMENTS BASE(\vectors), CT_REGS_BODY
        .cfi_remember_state
        GIVE_STACK TO_ENTRY(\vectors)
        jr      t0
        .cfi_restore_state
  .else
        RESTORE_ARGUMENTS BASE(\vectors)
        ld      t1, CT_RECORD_TARGET(t0)
  .endif
.Lgo_on_\name:
        JUMP_ON \vectors

\name\()_threw:
        CATCH   \name\()_called

.Lchanged_\name:
        LEAVE_GUARD BASE(\vectors)
        IF_CHANGED BASE(\vectors), .Loverride_\name, .Lset_ip_\name
        j       .Lunchanged_\name
.Lset_ip_\name:
        RESTORE_ARGUMENTS BASE(\vectors)
        ld      t1, BASE(\vectors) + CT_REGS_TARGET(sp)
        j       .Lgo_on_\name
.Loverride_\name:
        LOAD_OVERRIDE BASE(\vectors)
        .cfi_remember_state
        GIVE_STACK TO_ENTRY(\vectors)
        ret
        .cfi_restore_state

        BEGIN_SLOW \name, \vectors, 0
        .cfi_endproc
        .size   \name, . - \name
.endm

        ENTRY   ct_entry, 0
        ENTRY   ct_entry_vectors, 1
        ENTRY   ct_called_entry_alone, 0, 1
        ENTRY   ct_called_entry_vectors_alone, 1, 1

        .section .note.GNU-stack, "", @progbits
