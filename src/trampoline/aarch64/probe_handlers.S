// Trampolines that run clients' handlers at the entry and the exit, calling around: ct_probe for handlers that use
// general registers only, ct_probe_vectors for others. Register contract, stack and steps: handlers.inc.
//
// Unwinding: while handlers run, a function with a frame record; while the body runs, as in call_around.S.
#include "trampoline/aarch64/handlers.inc"

        .section calltap_trampolines, "ax", %progbits
        .hidden ct_imports, ct_personality_reference, ct_free_blocks, __start_calltap_trampolines, __stop_calltap_trampolines

// Between name_owned and name_let_go x19 is the call frame.
.macro PROBE name, vectors, return_point
        .globl  \name, \name\()_owned, \name\()_let_go, \name\()_entry_called, \name\()_entry_threw
        .globl  \name\()_exit_called, \name\()_exit_threw, \return_point
        .hidden \name, \name\()_owned, \name\()_let_go, \name\()_entry_called, \name\()_entry_threw
        .hidden \name\()_exit_called, \name\()_exit_threw, \return_point
        .type   \name, %function
        .p2align 6
\name:
        .cfi_startproc
        .cfi_personality 0x9b, ct_personality_reference
        BEGIN   \name, \vectors, 1
        // Step 3
        ldr     x9, [x15, #CT_THREAD_FREE]
        CLAIM_FRAME
        cbnz    w11, .Lno_frame_\name
        ldr     x10, [x9, #CT_FRAME_NEXT]
        str     x10, [x15, #CT_THREAD_FREE]
.Lclaimed_\name:
        ldr     x10, [x29, #REGS(LR)]
        str     x19, [x9, #CT_FRAME_SAVED]
        str     x10, [x9, #CT_FRAME_RET]
        .cfi_remember_state
        mov     x19, x9
        CFI_X19_IN_FRAME
\name\()_owned:
        add     x11, x29, #CT_REGS_BYTES
        LINK_FRAME \name, x11
        // Step 4
        ldr     x9, [x5, #CT_SET_GENERATION]
        str     x9, [x19, #CT_FRAME_GENERATION]
        ldr     x2, [x5, #CT_SET_CLIENT]
        str     x2, [x19, #CT_FRAME_CLIENT]
        mov     w9, #CT_FLAG_PROBE
        str     w9, [x19, #CT_FRAME_FLAGS]
        cbnz    w8, .Ltail_called_\name
.Lflags_set_\name:
        COUNT_HIT
        add     x4, x19, #CT_FRAME_DATA
        ldr     x9, [x5, #CT_SET_DATA]
        cbz     x9, .Lno_data_\name
        stp     xzr, xzr, [x19, #CT_FRAME_DATA]
        stp     xzr, xzr, [x19, #CT_FRAME_DATA + 16]
.Lno_data_\name:
        // From here on the exit handler runs, also if the entry handler is never come to: it finds no data of another call.
        str     x0, [x19, #CT_FRAME_EVENT]
        CALL_ENTRY
\name\()_entry_called:
        cbnz    w0, .Lno_exit_wanted_\name
.Lexit_wanted_\name:
  .if \vectors
        RESTORE_VECTORS
  .endif
        GET_GUARD
        cmp     w9, #CT_REGS_HAS_FRAME
        b.ne    .Lchanged_\name
        LEAVE_GUARD_FAST
.Lunchanged_\name:
        RESTORE_ARGUMENTS
        ldr     x16, [x17, #CT_RECORD_TARGET]
.Lgo_on_\name:
        .cfi_remember_state
        LEAVE_STACK
        .cfi_same_value 29
        CFI_RETURN_IN_FRAME
        CFI_IN_BODY
        blr     x16
\return_point:
        CFI_BODY_LEFT
        // x19 = the call frame; x0, x1 and the vector registers hold the result.
        ldr     x30, [x19, #CT_FRAME_RET]
        stp     x29, x30, [sp, #-CT_REGS_BYTES]!
        .cfi_def_cfa_offset CT_REGS_BYTES
        mov     x29, sp
        .cfi_restore_state
        .cfi_remember_state
        stp     x0, x1, [x29, #REGS(X0)]
.Lreturned_\name:
        GET_THREAD
        ldr     x9, [x15, #CT_THREAD_TOP]
        cmp     x9, x19
        b.ne    .Lcut_off_\name
.Ltop_checked_\name:
        ldr     x2, [x19, #CT_FRAME_CLIENT]
        cbz     x2, .Lno_exit_\name
        // Step 7
        ENTER_GUARD 1, CT_REGS_EXIT | CT_REGS_HAS_FRAME, .Lexit_nested_\name
.Lexit_entered_\name:
  .if \vectors
        SAVE_VECTORS
  .endif
        ldr     x9, [x19, #CT_FRAME_GENERATION]
        ldr     x10, [x2, #CT_CLIENT_GENERATION]
        cmp     x9, x10
        b.ne    .Lexit_called_\name
        ldr     x1, [x19, #CT_FRAME_RET]
        IF_RETURN_POINT x1, .Lexit_parent_\name
.Lexit_parent_found_\name:
        // It does not run again, however it is left. (A list looks after that itself.)
        str     xzr, [x19, #CT_FRAME_CLIENT]
        ldr     x0, [x19, #CT_FRAME_EVENT]
        mov     x3, x29
        add     x4, x19, #CT_FRAME_DATA
        ldr     x16, [x2, #CT_CLIENT_EXIT]
        blr     x16
\name\()_exit_called:
.Lexit_called_\name:
  .if \vectors
        RESTORE_VECTORS
  .endif
        LEAVE_GUARD
.Lexit_left_\name:
        ldr     x9, [x19, #CT_FRAME_BLOCKS]
        cbnz    x9, .Lblocks_\name
.Lno_exit_\name:
        GET_THREAD
        str     xzr, [x19, #CT_FRAME_EVENT]
        // Step 8. Everything out of the frame, then let it go.
        ldr     x9, [x19, #CT_FRAME_PARENT]
        str     x9, [x15, #CT_THREAD_TOP]
        ldp     x0, x1, [x29, #REGS(X0)]
        LEAVE_STACK
        .cfi_def_cfa 31, 0
        .cfi_same_value 29
        .cfi_same_value 30
\name\()_let_go:
        mov     x10, x19
        ldr     x19, [x19, #CT_FRAME_SAVED]
        .cfi_same_value 19
        FREE_FRAME x10
        ret
        .cfi_restore_state
        .cfi_remember_state

\name\()_aside:
        .globl  \name\()_aside, \name\()_aside_end
        .hidden \name\()_aside, \name\()_aside_end
.Lno_exit_wanted_\name:
        str     xzr, [x19, #CT_FRAME_CLIENT]
        b       .Lexit_wanted_\name

.Ltail_called_\name:
        str     w8, [x19, #CT_FRAME_SLOT]
        mov     w9, #CT_FLAG_PROBE | CT_FLAG_TAIL
        str     w9, [x19, #CT_FRAME_FLAGS]
        b       .Lflags_set_\name

\name\()_entry_threw:
        CATCH   \name\()_entry_called
\name\()_exit_threw:
        CATCH   \name\()_exit_called

.Lcheck_stack_\name:
        KEEP
        str     x1, [x29, #REGS(PARENT)]
        str     w8, [x29, #REGS(TARGET)]
        mov     x0, x19
        GET_IMPORT x16, CT_IMPORT_STACK_SLOW
        blr     x16
        RELOAD  1
        ldr     x1, [x29, #REGS(PARENT)]
        ldr     w8, [x29, #REGS(TARGET)]
        b       .Lstack_checked_\name

        // We were tail-called: the caller is hooked too, and its call frame is what x19 was at our entry.
.Lexit_parent_\name:
        ldr     x0, [x19, #CT_FRAME_SAVED]
        GET_IMPORT x16, CT_IMPORT_PARENT_SLOW
        blr     x16
        mov     x1, x0
        ldr     x2, [x19, #CT_FRAME_CLIENT]
        b       .Lexit_parent_found_\name

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
        stp     x0, x1, [x29, #REGS(X0)]
        b       .Lreturned_\name

        // Frames above us on the list have not been returned from.
.Lcut_off_\name:
        mov     x0, x19
        GET_IMPORT x16, CT_IMPORT_EXIT_SLOW
        blr     x16
        GET_THREAD
        b       .Ltop_checked_\name

.Lexit_nested_\name:
        mov     x0, x29
        GET_IMPORT x16, CT_IMPORT_EXIT_ENTER_SLOW
        blr     x16
        ldr     x2, [x19, #CT_FRAME_CLIENT]
        b       .Lexit_entered_\name

.Lblocks_\name:
        mov     x0, x19
        bl      ct_free_blocks
        b       .Lno_exit_\name
\name\()_aside_end:
        .cfi_restore_state
        .cfi_restore_state

        // No frame at hand: get one, or run the body unhooked.
.Lno_frame_\name:
        KEEP
        str     x1, [x29, #REGS(PARENT)]
        str     w8, [x29, #REGS(TARGET)]
        mov     x0, x9
        mov     x1, x29
        GET_IMPORT x16, CT_IMPORT_NO_FRAME
        blr     x16
        mov     x9, x0
        RELOAD  1
        ldr     x1, [x29, #REGS(PARENT)]
        ldr     w8, [x29, #REGS(TARGET)]
        cbnz    x9, .Lclaimed_\name
  .if \vectors
        RESTORE_VECTORS
  .endif
        LEAVE_GUARD
        b       .Lunhooked_\name

        BEGIN_SLOW \name, \vectors, 1
        .cfi_endproc
        .size   \name, . - \name
.endm

        PROBE   ct_probe, 0, ct_probe_return_point
        PROBE   ct_probe_vectors, 1, ct_probe_vectors_return_point

        .section .note.GNU-stack, "", %progbits
