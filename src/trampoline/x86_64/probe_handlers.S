// Trampolines that run clients' handlers at the entry and the exit, calling around: ct_probe for handlers that use
// general registers only, ct_probe_vectors for others. Register contract, stack and steps: handlers.inc.
//
// Unwinding: a function with a constant stack frame until the call frame is owned, then as in call_around.S.
#include "trampoline/x86_64/handlers.inc"

        .section calltap_trampolines, "ax", @progbits
        .hidden ct_imports, ct_personality_reference, ct_free_blocks, ct_call_aligned, __start_calltap_trampolines, __stop_calltap_trampolines
        .hidden ct_save_vectors, ct_restore_vectors, ct_save_results, ct_restore_results

// The unwinder's view while rbx is the call frame: the caller's rsp is a constant above ours.
.macro CFI_OWNED vectors
        .cfi_def_cfa_offset TO_SLOT(\vectors) + 16
  .if \vectors
        .cfi_escape 0x16, 7, 3, 0x77, 0xc0, 0x05  // TO_SLOT(1) + 8 = 704 as SLEB128
  .else
        .cfi_escape 0x16, 7, 3, 0x77, 0xa0, 0x01  // TO_SLOT(0) + 8 = 160
  .endif
        CFI_RETURN_IN_FRAME
        CFI_RBX_IN_FRAME
.endm
.if TO_SLOT(1) + 8 != 704 || TO_SLOT(0) + 8 != 160
        .error "CFI_OWNED has other offsets"
.endif

.macro CFI_POPPED
        .cfi_def_cfa_offset 8
        CFI_CALLER_RSP
        CFI_RETURN_IN_FRAME
        CFI_RBX_IN_FRAME
.endm

// Between name_owned and name_let_go rbx is the call frame.
.macro PROBE name, vectors, return_point
        .globl  \name, \name\()_owned, \name\()_let_go, \name\()_entry_called, \name\()_entry_threw
        .globl  \name\()_exit_called, \name\()_exit_threw, \return_point
        .globl  \name\()_entry_called_aligned, \name\()_exit_called_aligned
        .hidden \name\()_entry_called_aligned, \name\()_exit_called_aligned
        .hidden \name, \name\()_owned, \name\()_let_go, \name\()_entry_called, \name\()_entry_threw
        .hidden \name\()_exit_called, \name\()_exit_threw, \return_point
        .type   \name, @function
        .p2align 6
\name:
        .cfi_startproc
        .cfi_personality 0x9b, ct_personality_reference
        BEGIN   \name, \vectors, CT_REGS_HAS_FRAME
        // Step 3. `free` is a hint; the increment is the claim.
        movq    %fs:CT_THREAD_FREE(%rdi), %rdx
        incl    CT_FRAME_OWNER(%rdx)
        jnz     .Lno_frame_\name
        leaq    CT_FRAME_BYTES(%rdx), %rax
        cmpq    %rax, CT_FRAME_NEXT(%rdx)
        jne     .Lother_next_\name
.Lnext_known_\name:
        movq    %rax, %fs:CT_THREAD_FREE(%rdi)
.Lclaimed_\name:
        movq    %rbx, CT_FRAME_SAVED(%rdx)
        movq    %r8, CT_FRAME_RET(%rdx)
        .cfi_remember_state
        movq    %rdx, %rbx
        CFI_OWNED \vectors
\name\()_owned:
        // The slot says "alive" before the frame says where the slot is.
        leaq    \return_point(%rip), %rax
        movq    %rax, TO_SLOT(\vectors)(%rsp)
        leaq    TO_SLOT(\vectors)+8(%rsp), %rdx
        LINK_FRAME \name, %rdx, %rdi
        // Step 4
        movq    CT_SET_GENERATION(%r9), %rax
        movq    %rax, CT_FRAME_GENERATION(%rbx)
        movq    CT_SET_CLIENT(%r9), %rdx
        movq    %rdx, CT_FRAME_CLIENT(%rbx)
        movl    $CT_FLAG_PROBE, CT_FRAME_FLAGS(%rbx)
        testl   %r10d, %r10d
        jnz     .Ltail_called_\name
.Lflags_set_\name:
        COUNT_HIT
        leaq    CT_FRAME_DATA(%rbx), %r8
        cmpq    $0, CT_SET_DATA(%r9)
        je      .Lno_data_\name
        movq    $0, 0(%r8)
        movq    $0, 8(%r8)
        movq    $0, 16(%r8)
        movq    $0, 24(%r8)
.Lno_data_\name:
        // From here on the exit handler runs, also if the entry handler is never come to: it finds no data of another call.
        movq    %rdi, CT_FRAME_EVENT(%rbx)
        CALL_ENTRY BASE(\vectors), .Lmisaligned_\name
\name\()_entry_called:
        testl   %eax, %eax
        jnz     .Lno_exit_wanted_\name
.Lexit_wanted_\name:
  .if \vectors
        movq    %rsp, %r8
        movzwl  BASE(\vectors)+CT_REGS_WIDTH(%rsp), %eax
        call    ct_restore_vectors
  .endif
        cmpl    $CT_REGS_HAS_FRAME, BASE(\vectors)+CT_REGS_FLAGS(%rsp)
        jne     .Lchanged_\name
        GET_GUARD
        movq    $0, CT_GUARD_WORD(%rcx)
.Lunchanged_\name:
        movq    BASE(\vectors)+CT_REGS_R11(%rsp), %r11
.Lgo_on_\name:
        RESTORE_ARGUMENTS BASE(\vectors)
        .cfi_remember_state
        leaq    TO_SLOT(\vectors)+8(%rsp), %rsp
        CFI_POPPED
        call    *CT_RECORD_TARGET(%r11)
\return_point:
        // rbx = the call frame; rax, rdx, the vector and x87 registers hold the result.
        movq    %rax, POPPED(SAVED_RAX)(%rsp)
        movq    %rdx, POPPED(SAVED_RDX)(%rsp)
        leaq    -(TO_SLOT(\vectors)+8)(%rsp), %rsp
        .cfi_restore_state
.Lreturned_\name:
        movq    IMPORT(THREAD), %rdi
        cmpq    %rbx, %fs:CT_THREAD_TOP(%rdi)
        jne     .Lcut_off_\name
.Ltop_checked_\name:
        movq    CT_FRAME_CLIENT(%rbx), %rdx
        testq   %rdx, %rdx
        jz      .Lno_exit_\name
        // Step 7
        movq    %fs:CT_THREAD_GUARD(%rdi), %rcx
        ENTER_GUARD BASE(\vectors), CT_REGS_EXIT | CT_REGS_HAS_FRAME, .Lexit_nested_\name
.Lexit_entered_\name:
  .if \vectors
        movq    %rsp, %r8
        call    ct_save_results
        movl    %eax, BASE(\vectors)+CT_REGS_WIDTH(%rsp)
        movq    CT_FRAME_CLIENT(%rbx), %rdx
  .endif
        movq    CT_FRAME_GENERATION(%rbx), %rax
        cmpq    %rax, CT_CLIENT_GENERATION(%rdx)
        jne     .Lexit_called_\name
        movq    CT_FRAME_RET(%rbx), %rsi
        leaq    __stop_calltap_trampolines(%rip), %rax
        cmpq    %rax, %rsi
        jae     .Lexit_parent_found_\name
        leaq    __start_calltap_trampolines(%rip), %rax
        cmpq    %rax, %rsi
        jae     .Lexit_parent_\name
.Lexit_parent_found_\name:
        // It does not run again, however it is left. (A list looks after that itself.)
        movq    $0, CT_FRAME_CLIENT(%rbx)
        movq    CT_FRAME_EVENT(%rbx), %rdi
        leaq    BASE(\vectors)(%rsp), %rcx
        leaq    CT_FRAME_DATA(%rbx), %r8
        testl   $8, %esp
        jnz     .Lexit_misaligned_\name
        call    *CT_CLIENT_EXIT(%rdx)
\name\()_exit_called:
.Lexit_called_\name:
  .if \vectors
        movq    %rsp, %r8
        movl    BASE(\vectors)+CT_REGS_WIDTH(%rsp), %eax
        call    ct_restore_results
  .endif
        testl   $CT_REGS_NESTED, BASE(\vectors)+CT_REGS_FLAGS(%rsp)
        jnz     .Lexit_leave_nested_\name
        GET_GUARD
        movq    $0, CT_GUARD_WORD(%rcx)
.Lexit_left_\name:
        cmpq    $0, CT_FRAME_BLOCKS(%rbx)
        jne     .Lblocks_\name
.Lblocks_freed_\name:
.Lno_exit_\name:
        movq    $0, CT_FRAME_EVENT(%rbx)
        // Step 8. Everything out of the frame, then let it go while its slot still says "alive", then use the slot.
        movq    CT_FRAME_PARENT(%rbx), %rax
        movq    %rax, %fs:CT_THREAD_TOP(%rdi)
        movq    BASE(\vectors)+CT_REGS_RAX(%rsp), %r8
        movq    BASE(\vectors)+CT_REGS_RDX(%rsp), %r9
        .cfi_remember_state
        leaq    TO_SLOT(\vectors)+8(%rsp), %rsp
        CFI_POPPED
        movq    CT_FRAME_RET(%rbx), %rsi
        .cfi_register 16, 4
\name\()_let_go:
        movq    %rbx, %r10
        movq    CT_FRAME_SAVED(%rbx), %rbx
        .cfi_same_value rbx
        FREE_FRAME %r10
        movq    %r8, %rax
        movq    %r9, %rdx
        pushq   %rsi
        .cfi_def_cfa_offset 8
        .cfi_escape 0x16, 7, 2, 0x77, 8  // the caller's rsp is rsp + 8
        .cfi_offset 16, -8
        ret
        .cfi_restore_state

\name\()_aside:
        .globl  \name\()_aside, \name\()_aside_end
        .hidden \name\()_aside, \name\()_aside_end
.Lno_exit_wanted_\name:
        movq    $0, CT_FRAME_CLIENT(%rbx)
        jmp     .Lexit_wanted_\name

.Ltail_called_\name:
        movl    %r10d, CT_FRAME_SLOT(%rbx)
        movl    $CT_FLAG_PROBE | CT_FLAG_TAIL, CT_FRAME_FLAGS(%rbx)
        jmp     .Lflags_set_\name

.Lmisaligned_\name:
        CALL_ENTRY_ALIGNED
\name\()_entry_called_aligned:
        jmp     \name\()_entry_called
.Lexit_misaligned_\name:
        movq    CT_CLIENT_EXIT(%rdx), %rax
        call    ct_call_aligned
\name\()_exit_called_aligned:
        jmp     \name\()_exit_called

\name\()_entry_threw:
        CATCH   \name\()_entry_called
\name\()_exit_threw:
        CATCH   \name\()_exit_called

.Lnew_parent_\name:
        movq    %rax, CT_FRAME_PARENT(%rbx)
        jmp     .Lparent_known_\name

.Lcheck_stack_\name:
        KEEP    BASE(\vectors)
        movq    %rsi, BASE(\vectors)+CT_REGS_PARENT(%rsp)
        movl    %r10d, BASE(\vectors)+CT_REGS_TARGET(%rsp)
        movq    %rbx, %rdi
        call    *IMPORT(STACK_SLOW)
        RELOAD  BASE(\vectors)
        movl    BASE(\vectors)+CT_REGS_TARGET(%rsp), %r10d
        movq    BASE(\vectors)+CT_REGS_PARENT(%rsp), %rsi
        jmp     .Lstack_checked_\name

        // We were tail-called: the caller is hooked too, and its call frame is what rbx was at our entry.
.Lexit_parent_\name:
        movq    CT_FRAME_SAVED(%rbx), %rdi
        call    *IMPORT(PARENT_SLOW)
        movq    %rax, %rsi
        movq    CT_FRAME_CLIENT(%rbx), %rdx
        jmp     .Lexit_parent_found_\name

.Lchanged_\name:
        LEAVE_GUARD BASE(\vectors)
        testl   $CT_REGS_OVERRIDE | CT_REGS_SET_IP, BASE(\vectors)+CT_REGS_FLAGS(%rsp)
        jz      .Lunchanged_\name
        testl   $CT_REGS_OVERRIDE, BASE(\vectors)+CT_REGS_FLAGS(%rsp)
        jnz     .Loverride_\name
        GO_TO_IP \vectors, .Lgo_on_\name
.Loverride_\name:
        LOAD_OVERRIDE BASE(\vectors)
        jmp     .Lreturned_\name

.Lexit_leave_nested_\name:
        LEAVE_NESTED BASE(\vectors)
        movq    IMPORT(THREAD), %rdi
        jmp     .Lexit_left_\name

        // Frames above us on the list have not been returned from.
.Lcut_off_\name:
        movq    %rbx, %rdi
        call    *IMPORT(EXIT_SLOW)
        movq    IMPORT(THREAD), %rdi
        jmp     .Ltop_checked_\name

.Lexit_nested_\name:
        leaq    BASE(\vectors)(%rsp), %rdi
        call    *IMPORT(EXIT_ENTER_SLOW)
        movq    CT_FRAME_CLIENT(%rbx), %rdx
        jmp     .Lexit_entered_\name

.Lblocks_\name:
        movq    %rbx, %rdi
        call    ct_free_blocks
        movq    IMPORT(THREAD), %rdi
        jmp     .Lblocks_freed_\name
\name\()_aside_end:
        .cfi_restore_state

.Lother_next_\name:
        movq    CT_FRAME_NEXT(%rdx), %rax
        jmp     .Lnext_known_\name

        // No frame at hand: get one, or run the body unhooked.
.Lno_frame_\name:
        KEEP    BASE(\vectors)
        movq    %rsi, BASE(\vectors)+CT_REGS_PARENT(%rsp)
        movl    %r10d, BASE(\vectors)+CT_REGS_TARGET(%rsp)
        movq    %rdx, %rdi
        leaq    BASE(\vectors)(%rsp), %rsi
        call    *IMPORT(NO_FRAME)
        RELOAD  BASE(\vectors)
        movq    BASE(\vectors)+CT_REGS_PARENT(%rsp), %rsi
        movl    BASE(\vectors)+CT_REGS_TARGET(%rsp), %r10d
        movq    %rax, %rdx
        testq   %rdx, %rdx
        jnz     .Lclaimed_\name
        LEAVE_GUARD BASE(\vectors)
        movq    BASE(\vectors)+CT_REGS_R11(%rsp), %r11
        jmp     .Lunhooked_\name

        BEGIN_SLOW \name, \vectors, CT_REGS_HAS_FRAME
        .cfi_endproc
        .size   \name, . - \name
.endm

        PROBE   ct_probe, 0, ct_probe_return_point
        PROBE   ct_probe_vectors, 1, ct_probe_vectors_return_point

        .section .note.GNU-stack, "", @progbits
