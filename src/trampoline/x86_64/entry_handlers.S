// Trampolines that run clients' handlers at the entry only: ct_entry for handlers that use general registers only,
// ct_entry_vectors for others. Register contract, stack and steps: handlers.inc.
//
// Unwinding: functions with a constant stack frame.
#include "trampoline/x86_64/handlers.inc"

        .section calltap_trampolines, "ax", @progbits
        .hidden ct_imports, ct_personality_reference, ct_call_aligned, __start_calltap_trampolines, __stop_calltap_trampolines
        .hidden ct_save_vectors, ct_restore_vectors

.macro ENTRY name, vectors
        .globl  \name, \name\()_called, \name\()_called_aligned, \name\()_threw
        .hidden \name, \name\()_called, \name\()_called_aligned, \name\()_threw
        .type   \name, @function
        .p2align 6
\name:
        .cfi_startproc
        .cfi_personality 0x9b, ct_personality_reference
        BEGIN   \name, \vectors, 0
        COUNT_HIT
        movq    CT_SET_CLIENT(%r9), %rdx
        xorl    %r8d, %r8d
        CALL_ENTRY BASE(\vectors), .Lmisaligned_\name
\name\()_called:
  .if \vectors
        movq    %rsp, %r8
        movzwl  BASE(\vectors)+CT_REGS_WIDTH(%rsp), %eax
        call    ct_restore_vectors
  .endif
        cmpl    $0, BASE(\vectors)+CT_REGS_FLAGS(%rsp)
        jne     .Lchanged_\name
        GET_GUARD
        movq    $0, CT_GUARD_WORD(%rcx)
.Lunchanged_\name:
        movq    BASE(\vectors)+CT_REGS_R11(%rsp), %r11
.Lgo_on_\name:
        RESTORE_ARGUMENTS BASE(\vectors)
        .cfi_remember_state
        leaq    TO_SLOT(\vectors)(%rsp), %rsp
        .cfi_def_cfa_offset 8
        jmp     *CT_RECORD_TARGET(%r11)
        .cfi_restore_state

\name\()_threw:
        CATCH   \name\()_called

.Lmisaligned_\name:
        CALL_ENTRY_ALIGNED
\name\()_called_aligned:
        jmp     \name\()_called

.Lchanged_\name:
        LEAVE_GUARD BASE(\vectors)
        testl   $CT_REGS_OVERRIDE | CT_REGS_SET_IP, BASE(\vectors)+CT_REGS_FLAGS(%rsp)
        jz      .Lunchanged_\name
        testl   $CT_REGS_OVERRIDE, BASE(\vectors)+CT_REGS_FLAGS(%rsp)
        jnz     .Loverride_\name
        GO_TO_IP \vectors, .Lgo_on_\name
.Loverride_\name:
        LOAD_OVERRIDE BASE(\vectors)
        movq    BASE(\vectors)+CT_REGS_RAX(%rsp), %rax
        movq    BASE(\vectors)+CT_REGS_RDX(%rsp), %rdx
        .cfi_remember_state
        leaq    TO_SLOT(\vectors)(%rsp), %rsp
        .cfi_def_cfa_offset 8
        ret
        .cfi_restore_state

        BEGIN_SLOW \name, \vectors, 0
        .cfi_endproc
        .size   \name, . - \name
.endm

        ENTRY   ct_entry, 0
        ENTRY   ct_entry_vectors, 1

        .section .note.GNU-stack, "", @progbits
