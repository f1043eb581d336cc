// Trampolines that run clients' handlers at the entry and the exit, calling around: ct_probe for handlers that use
// general registers only, ct_probe_vectors for others. Register contract, stack and steps: handlers.inc.
//
// Unwinding: while handlers run, a function with a constant stack frame; while the body runs, as in call_around.S.
#include "trampoline/riscv64/handlers.inc"

        .section calltap_trampolines, "ax", @progbits
        .hidden ct_imports, ct_personality_reference, ct_epoch, ct_free_blocks, __start_calltap_trampolines, __stop_calltap_trampolines

// Between name_owned and name_let_go s1 is the call frame.
.macro PROBE name, vectors, return_point
        .globl  \name, \name\()_owned, \name\()_let_go, \name\()_entry_called, \name\()_entry_threw
        .globl  \name\()_exit_called, \name\()_exit_threw, \return_point
        .hidden \name, \name\()_owned, \name\()_let_go, \name\()_entry_called, \name\()_entry_threw
        .hidden \name\()_exit_called, \name\()_exit_threw, \return_point
        .type   \name, @function
        .p2align 6
\name:
        .cfi_startproc
        .cfi_personality 0x9b, ct_personality_reference
        BEGIN   \name, \vectors, 1
        // Step 3
        ld      t1, CT_THREAD_FREE(t6)
        CLAIM_FRAME
        bnez    t2, .Lno_frame_\name
        ld      t2, CT_FRAME_NEXT(t1)
        sd      t2, CT_THREAD_FREE(t6)
.Lclaimed_\name:
        ld      t2, BASE(\vectors) + CT_REGS_RA(sp)
        sd      s1, CT_FRAME_SAVED(t1)
        sd      t2, CT_FRAME_RET(t1)
        .cfi_remember_state
        mv      s1, t1
        CFI_S1_IN_FRAME
\name\()_owned:
        addi    t1, sp, TO_ENTRY(\vectors)
        LINK_FRAME \name, t1
        // Step 4
        ld      t1, CT_SET_GENERATION(a5)
        sd      t1, CT_FRAME_GENERATION(s1)
        ld      a2, CT_SET_CLIENT(a5)
        sd      a2, CT_FRAME_CLIENT(s1)
        li      t1, CT_FLAG_PROBE
        sw      t1, CT_FRAME_FLAGS(s1)
        bnez    t3, .Ltail_called_\name
.Lflags_set_\name:
        COUNT_HIT
        addi    a4, s1, CT_FRAME_DATA
        ld      t1, CT_SET_DATA(a5)
        beqz    t1, .Lno_data_\name
        sd      zero, CT_FRAME_DATA(s1)
        sd      zero, CT_FRAME_DATA + 8(s1)
        sd      zero, CT_FRAME_DATA + 16(s1)
        sd      zero, CT_FRAME_DATA + 24(s1)
.Lno_data_\name:
        // From here on the exit handler runs, also if the entry handler is never come to: it finds no data of another call.
        sd      a0, CT_FRAME_EVENT(s1)
        CALL_ENTRY BASE(\vectors)
\name\()_entry_called:
        bnez    a0, .Lno_exit_wanted_\name
.Lexit_wanted_\name:
  .if \vectors
        RESTORE_VECTORS
  .endif
        lw      t1, BASE(\vectors) + CT_REGS_FLAGS(sp)
        addi    t1, t1, -CT_REGS_HAS_FRAME
        bnez    t1, .Lchanged_\name
        LEAVE_GUARD_FAST BASE(\vectors)
.Lunchanged_\name:
        RESTORE_ARGUMENTS BASE(\vectors)
        ld      t1, CT_RECORD_TARGET(t0)
.Lgo_on_\name:
        .cfi_remember_state
        ld      s0, BASE(\vectors) + CT_REGS_FP(sp)
        .cfi_same_value s0
        CFI_RETURN_IN_FRAME
        addi    sp, sp, TO_ENTRY(\vectors)
        CFI_IN_BODY
        jalr    t1
\return_point:
        // s1 = the call frame; a0, a1, fa0 and fa1 hold the result.
        addi    sp, sp, -TO_ENTRY(\vectors)
        .cfi_restore_state
        .cfi_remember_state
        .cfi_same_value s0
        CFI_RETURN_IN_FRAME
        sd      s0, BASE(\vectors) + CT_REGS_FP(sp)
        ld      t1, CT_FRAME_RET(s1)
        sd      t1, BASE(\vectors) + CT_REGS_RA(sp)
        .cfi_restore_state
        .cfi_remember_state
        addi    s0, sp, TO_ENTRY(\vectors)
        sd      a0, BASE(\vectors) + CT_REGS_A0(sp)
        sd      a1, BASE(\vectors) + CT_REGS_A0 + 8(sp)
.Lreturned_\name:
        GET_THREAD
        ld      t1, CT_THREAD_TOP(t6)
        bne     t1, s1, .Lcut_off_\name
.Ltop_checked_\name:
        ld      a2, CT_FRAME_CLIENT(s1)
        beqz    a2, .Lno_exit_\name
        // Step 7
        ENTER_GUARD BASE(\vectors), CT_REGS_EXIT | CT_REGS_HAS_FRAME, .Lexit_nested_\name
.Lexit_entered_\name:
  .if \vectors
        SAVE_RESULTS
        SET_WIDTH
  .endif
        ld      t1, CT_FRAME_GENERATION(s1)
        ld      t2, CT_CLIENT_GENERATION(a2)
        bne     t1, t2, .Lexit_called_\name
        ld      a1, CT_FRAME_RET(s1)
        IF_RETURN_POINT a1, .Lexit_parent_\name
.Lexit_parent_found_\name:
        // It does not run again, however it is left. (A list looks after that itself.)
        sd      zero, CT_FRAME_CLIENT(s1)
        ld      a0, CT_FRAME_EVENT(s1)
        addi    a3, sp, BASE(\vectors)
        addi    a4, s1, CT_FRAME_DATA
        ld      t1, CT_CLIENT_EXIT(a2)
        jalr    t1
\name\()_exit_called:
.Lexit_called_\name:
  .if \vectors
        RESTORE_RESULTS
  .endif
        LEAVE_GUARD BASE(\vectors)
        ld      t1, CT_FRAME_BLOCKS(s1)
        bnez    t1, .Lblocks_\name
.Lno_exit_\name:
        GET_THREAD
        sd      zero, CT_FRAME_EVENT(s1)
        // Step 8. Everything out of the frame, then let it go.
        ld      t1, CT_FRAME_PARENT(s1)
        sd      t1, CT_THREAD_TOP(t6)
        ld      a0, BASE(\vectors) + CT_REGS_A0(sp)
        ld      a1, BASE(\vectors) + CT_REGS_A0 + 8(sp)
        ld      ra, CT_FRAME_RET(s1)
        .cfi_same_value ra
        ld      s0, BASE(\vectors) + CT_REGS_FP(sp)
        .cfi_same_value s0
        addi    sp, sp, TO_ENTRY(\vectors)
        .cfi_def_cfa_offset 0
\name\()_let_go:
        mv      t4, s1
        ld      s1, CT_FRAME_SAVED(s1)
        .cfi_same_value s1
        FREE_FRAME t4
        ret
        .cfi_restore_state
        .cfi_remember_state

\name\()_aside:
        .globl  \name\()_aside, \name\()_aside_end
        .hidden \name\()_aside, \name\()_aside_end
.Lno_exit_wanted_\name:
        sd      zero, CT_FRAME_CLIENT(s1)
        j       .Lexit_wanted_\name

.Ltail_called_\name:
        sw      t3, CT_FRAME_SLOT(s1)
        li      t1, CT_FLAG_PROBE | CT_FLAG_TAIL
        sw      t1, CT_FRAME_FLAGS(s1)
        j       .Lflags_set_\name

\name\()_entry_threw:
        CATCH   \name\()_entry_called
\name\()_exit_threw:
        CATCH   \name\()_exit_called

.Lcheck_stack_\name:
        KEEP    BASE(\vectors)
        sd      a1, BASE(\vectors) + CT_REGS_PARENT(sp)
        sw      t3, BASE(\vectors) + CT_REGS_TARGET(sp)
        mv      a0, s1
        GET_IMPORT t1, CT_IMPORT_STACK_SLOW
        jalr    t1
        RELOAD  BASE(\vectors)
        ld      a1, BASE(\vectors) + CT_REGS_PARENT(sp)
        lw      t3, BASE(\vectors) + CT_REGS_TARGET(sp)
        j       .Lstack_checked_\name

        // We were tail-called: the caller is hooked too, and its call frame is what s1 was at our entry.
.Lexit_parent_\name:
        ld      a0, CT_FRAME_SAVED(s1)
        GET_IMPORT t1, CT_IMPORT_PARENT_SLOW
        jalr    t1
        mv      a1, a0
        ld      a2, CT_FRAME_CLIENT(s1)
        j       .Lexit_parent_found_\name

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
        sd      a0, BASE(\vectors) + CT_REGS_A0(sp)
        sd      a1, BASE(\vectors) + CT_REGS_A0 + 8(sp)
        j       .Lreturned_\name

        // Frames above us on the list have not been returned from.
.Lcut_off_\name:
        mv      a0, s1
        GET_IMPORT t1, CT_IMPORT_EXIT_SLOW
        jalr    t1
        GET_THREAD
        j       .Ltop_checked_\name

.Lexit_nested_\name:
        addi    a0, sp, BASE(\vectors)
        GET_IMPORT t1, CT_IMPORT_EXIT_ENTER_SLOW
        jalr    t1
        ld      a2, CT_FRAME_CLIENT(s1)
        j       .Lexit_entered_\name

.Lblocks_\name:
        mv      a0, s1
        call    ct_free_blocks
        j       .Lno_exit_\name
\name\()_aside_end:
        .cfi_restore_state
        .cfi_restore_state

        // No frame at hand: get one, or run the body unhooked.
.Lno_frame_\name:
        KEEP    BASE(\vectors)
        sd      a1, BASE(\vectors) + CT_REGS_PARENT(sp)
        sw      t3, BASE(\vectors) + CT_REGS_TARGET(sp)
        mv      a0, t1
        addi    a1, sp, BASE(\vectors)
        GET_IMPORT t1, CT_IMPORT_NO_FRAME
        jalr    t1
        mv      t1, a0
        RELOAD  BASE(\vectors)
        ld      a1, BASE(\vectors) + CT_REGS_PARENT(sp)
        lw      t3, BASE(\vectors) + CT_REGS_TARGET(sp)
        bnez    t1, .Lclaimed_\name
  .if \vectors
        RESTORE_VECTORS
  .endif
        LEAVE_GUARD BASE(\vectors)
        j       .Lunhooked_\name

        BEGIN_SLOW \name, \vectors, 1
        .cfi_endproc
        .size   \name, . - \name
.endm

        PROBE   ct_probe, 0, ct_probe_return_point
        PROBE   ct_probe_vectors, 1, ct_probe_vectors_return_point

        .section .note.GNU-stack, "", @progbits
