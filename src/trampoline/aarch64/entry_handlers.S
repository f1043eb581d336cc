// Trampolines that run clients' handlers at the entry only: ct_entry for handlers that use general registers only,
// ct_entry_vectors for others; ct_called_entry_alone and ct_called_entry_vectors_alone for sites with CALL_OPS that have
// nothing but handlers. Register contract, stack and steps: handlers.inc, and for the latter two call_ops.S.
//
// Unwinding: functions with a frame record.
#include "trampoline/aarch64/handlers.inc"

        .section calltap_trampolines, "ax", %progbits
        .hidden ct_imports, ct_personality_reference, __start_calltap_trampolines, __stop_calltap_trampolines

// `called`: with the way back into the function in a register, by which the call is answered.
.macro ENTRY name, vectors, called=0
        .globl  \name, \name\()_called, \name\()_threw
        .hidden \name, \name\()_called, \name\()_threw
        .type   \name, %function
        .p2align 6
\name:
        .cfi_startproc
        .cfi_personality 0x9b, ct_personality_reference
  .if \called
        .cfi_register 30, 9
  .endif
        BEGIN   \name, \vectors, 0, \called
        COUNT_HIT
        mov     x4, #0
        CALL_ENTRY
\name\()_called:
  .if \vectors
        RESTORE_VECTORS
  .endif
        GET_GUARD
        cbnz    w9, .Lchanged_\name
        LEAVE_GUARD_FAST
.Lunchanged_\name:
        .cfi_remember_state
  .if \called
        RESTORE_ARGUMENTS 1
        LEAVE_STACK
        .cfi_def_cfa 31, 0
        .cfi_same_value 29
        .cfi_same_value 30
        ret     x16
        .cfi_restore_state
        .cfi_remember_state
  .else
        RESTORE_ARGUMENTS
        ldr     x16, [x17, #CT_RECORD_TARGET]
  .endif
.Lgo_on_\name:
        LEAVE_STACK
        .cfi_def_cfa 31, 0
        .cfi_same_value 29
        .cfi_same_value 30
        br      x16
        .cfi_restore_state

\name\()_threw:
        CATCH   \name\()_called

.Lchanged_\name:
        LEAVE_GUARD
        ldr     w9, [x29, #REGS(FLAGS)]
        tbnz    w9, #0, .Loverride_\name
        tbz     w9, #2, .Lunchanged_\name
        RESTORE_ARGUMENTS
        ldr     x16, [x29, #REGS(TARGET)]
        b       .Lgo_on_\name
.Loverride_\name:
        LOAD_OVERRIDE
        .cfi_remember_state
        LEAVE_STACK
        .cfi_def_cfa 31, 0
        .cfi_same_value 29
        .cfi_same_value 30
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

        .section .note.GNU-stack, "", %progbits
