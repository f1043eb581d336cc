// Call-around trampolines for x86-64: the site's stub jumps here with the site record in r11.
//
// Register contract
//   in         r11 = SiteRecord*; (rsp) = return address of the call; everything else belongs to the program:
//              rdi rsi rdx rcx r8 r9 rax r10, all vector and x87 registers, stack arguments above the return address
//   body       entered by `call` with all of that as it was, and the same rsp, so stack arguments are in place
//   out        rax rdx, vector and x87 registers as the body left them; callee-saved registers as the ABI has them
//   lost       r11, flags (dead at a function entry); on return also rcx rsi rdi r8-r10, which a call may change
//   stack      nothing below the return address is in use at a function entry, so up to 128 bytes there (which a
//              signal handler skips) hold saved registers without moving rsp
//
// Stack and frame, S = address of the return slot:
//
//        entry              after the pop            in the body            after it
//   S:  return address  ->  ct_return_point (dead)   ct_return_point   ->   return address, then ret
//   rsp = S                 rsp = S+8                rsp = S                rsp = S+8 .. S
//   frame->return_address = the caller's; frame->saved = the caller's rbx; rbx = frame until the frame is let go
//
// Unwinding. Before the pop the CFA is rsp+8 as in any function. From the pop on, the caller's registers are
//   rsp = rsp, return address = [rbx+CT_FRAME_RET], rbx = [rbx+CT_FRAME_SAVED], CFA = rsp+8
// The CFA is not the caller's rsp: it must differ from the body's own CFA (S+8), or libgcc's second phase, which knows
// a handler's frame by its CFA, stops here instead of in the frame that has the handler.

#include "trampoline/x86_64/call_frame.inc"

// A slow path moves rsp below its 128 bytes and keeps there what a fast path may not have saved.
#define SLOW_BYTES 192

#define EXIT_ID 2

#define CFI_CALLER_RSP_SLOW     .cfi_escape 0x16, 7, 3, 0x77, 0xc0, 0x01  // SLOW_BYTES as SLEB128

.macro SAVE_REST
        movq    %rdi, 0(%rsp)
        movq    %r8, 8(%rsp)
        movq    %r9, 16(%rsp)
        movq    %r10, 24(%rsp)
        movq    %r11, 32(%rsp)
        movq    %rdx, 40(%rsp)
        movq    %rsi, 48(%rsp)
.endm

.macro RESTORE_REST
        movq    48(%rsp), %rsi
        movq    40(%rsp), %rdx
        movq    32(%rsp), %r11
        movq    24(%rsp), %r10
        movq    16(%rsp), %r9
        movq    8(%rsp), %r8
        movq    0(%rsp), %rdi
.endm

// Calls a C++ slow path (an IMPORT): function(frame, rsi). Keeps all registers but rax and rcx, which the fast path has
// saved.
.macro CALL_SLOW function, popped=1
        leaq    -SLOW_BYTES(%rsp), %rsp
        .cfi_remember_state
        .cfi_def_cfa_offset SLOW_BYTES + 8
  .if \popped
        CFI_CALLER_RSP_SLOW
  .endif
        SAVE_REST
        movq    %rbx, %rdi
        cld
        call    *\function
        RESTORE_REST
        leaq    SLOW_BYTES(%rsp), %rsp
        .cfi_restore_state
.endm

// rdx = the clock in ticks. Clobbers rax.
.macro READ_CLOCK
        rdtsc
        shlq    $32, %rdx
        orq     %rax, %rdx
.endm

// Jumps to `slow` unless 0 <= now - last < 2^27. Clobbers rax.
.macro CHECK_GAP slow
        movq    %rdx, %rax
        subq    CT_WRITER_LAST(%rcx), %rax
        shrq    $27, %rax
        jnz     \slow
.endm

// `slot` = the place for the next event of the writer rcx, noted in the frame, whose WRITING flag is set. Jumps to
// `slow` when there is none. Before the clock is read: events that a signal handler writes in between take the slot,
// and ours is made anew.
//
// A packet in which an interrupted call has noted its place is not given away (recorder.cpp). A handler that came
// before the note has perhaps done so, and has moved the cursor then.
.macro CHOOSE_SLOT frame, slot, slow
        movq    CT_WRITER_CURSOR(%rcx), \slot
        testq   \slot, \slot
        jz      \slow
        movl    \slot\()d, CT_FRAME_SLOT(\frame)
        cmpq    CT_WRITER_CURSOR(%rcx), \slot
        jne     \slow
.endm

// Writes the event rsi, made at time rdx for the call `frame`, into `slot` and then sets the frame's flags. Clobbers
// rax and `slot`. Jumps to `slow` when the slot is taken: a signal handler was faster, or the packet is full.
//
// The frame notes what is about to be written where, so that if a signal handler leaves by longjmp the event can be
// looked for. Whoever is interrupted between the two exchanges has written its event; if the handler then moved the
// cursor, the second exchange fails and changes nothing, which is right.
.macro PUT_EVENT frame, slot, flags, slow
        movq    %rsi, CT_FRAME_EVENT(\frame)
        xorl    %eax, %eax
        cmpxchgq %rsi, (\slot)
        jnz     \slow
        movq    \slot, %rax
        addq    $8, \slot
        cmpxchgq \slot, CT_WRITER_CURSOR(%rcx)
        movl    $\flags, CT_FRAME_FLAGS(\frame)
        movq    %rdx, CT_WRITER_LAST(%rcx)
.endm

// Writes the exit event of the frame rbx. `thread` = offset of ct_thread. Clobbers rax, rcx, rdx, rsi, r11.
.macro PUT_EXIT thread, slow
        movq    %fs:CT_THREAD_WRITER(\thread), %rcx
        orl     $CT_FLAG_WRITING, CT_FRAME_FLAGS(%rbx)
        CHOOSE_SLOT %rbx, %r11, \slow
        READ_CLOCK
        CHECK_GAP \slow
        movl    CT_FRAME_EVENT+4(%rbx), %esi
        shlq    $32, %rsi
        movl    %edx, %eax
        shll    $5, %eax
        orl     $EXIT_ID, %eax
        orq     %rax, %rsi
        PUT_EVENT %rbx, %r11, CT_FLAG_REPORTED, \slow
.endm

// The call begins: writes its entry event, and restores the arguments. r11 = the record, rbx = the frame.
.macro ENTER label, record, popped=1
  .if \record
        movq    %fs:CT_THREAD_WRITER(%rcx), %rcx
        movq    CT_RECORD_EVENT(%r11), %rsi
        CHOOSE_SLOT %rbx, %r11, .Lentry_slow_\label
        READ_CLOCK
        CHECK_GAP .Lentry_slow_\label
        movl    %edx, %eax
        shll    $5, %eax
        orq     %rax, %rsi
        PUT_EVENT %rbx, %r11, 0, .Lentry_slow_\label
.Lentered_\label:
        movq    SAVED_R11-8*\popped(%rsp), %r11
        movq    SAVED_RSI-8*\popped(%rsp), %rsi
        movq    SAVED_RDX-8*\popped(%rsp), %rdx
  .else
        // It leaves the frame's event 0.
        movl    $0, CT_FRAME_FLAGS(%rbx)
  .endif
        movq    SAVED_RCX-8*\popped(%rsp), %rcx
        movq    SAVED_RAX-8*\popped(%rsp), %rax
.endm

.macro ENTER_SLOW label, popped=1
.Lentry_slow_\label:
        movq    SAVED_R11-8*\popped(%rsp), %r11
        movq    CT_RECORD_EVENT(%r11), %rsi
        CALL_SLOW IMPORT(EVENT_SLOW), \popped
        jmp     .Lentered_\label
.endm

        .section calltap_trampolines, "ax", @progbits
        .hidden ct_imports, ct_personality_reference

// One trampoline. `record` is 1 for the recorder, 0 for the bare hook that the benchmarks measure. Between
// name_owned and name_let_go, and name_aside and name_aside_end, rbx is the call frame.
.macro CALL_AROUND name, record, return_point
        .globl  \name, \name\()_owned, \name\()_let_go, \name\()_aside, \name\()_aside_end
        .hidden \name, \name\()_owned, \name\()_let_go, \name\()_aside, \name\()_aside_end
        .type   \name, @function
        .p2align 6
\name:
        .cfi_startproc
        .cfi_personality 0x9b, ct_personality_reference
        movq    %rax, SAVED_RAX(%rsp)
        movq    %rcx, SAVED_RCX(%rsp)
  .if \record
        movq    %rdx, SAVED_RDX(%rsp)
        movq    %rsi, SAVED_RSI(%rsp)
        movq    %r11, SAVED_R11(%rsp)
  .endif
        movq    IMPORT(THREAD), %rcx
        leaq    \return_point(%rip), %rax
        cmpq    %rax, (%rsp)
        je      .Ltail_call_\name
        // Claim a frame. `free` is a hint; the increment is the claim.
        movq    %fs:CT_THREAD_FREE(%rcx), %rax
        incl    CT_FRAME_OWNER(%rax)
        jnz     .Lno_frame_\name
        movq    %rbx, CT_FRAME_SAVED(%rax)
        movq    %rax, %rbx
        CFI_RBX_IN_FRAME
        leaq    CT_FRAME_BYTES(%rbx), %rax
        cmpq    %rax, CT_FRAME_NEXT(%rbx)
        jne     .Lother_next_\name
.Lnext_known_\name:
        movq    %rax, %fs:CT_THREAD_FREE(%rcx)
.Lclaimed_\name:
        popq    CT_FRAME_RET(%rbx)
        .cfi_remember_state
        CFI_CALLER_RSP
        CFI_RETURN_IN_FRAME
\name\()_owned:
        // The slot says "alive" before the frame says where the slot is.
        leaq    \return_point(%rip), %rax
        movq    %rax, -8(%rsp)
        LINK_FRAME \name, %rsp, %rcx
        ENTER   \name, \record
        call    *CT_RECORD_TARGET(%r11)
        .globl  \return_point
        .hidden \return_point
\return_point:
        // rbx = frame; rax, rdx and the vector and x87 registers hold the result.
        movq    %rax, %r8
        movq    %rdx, %r9
        movq    IMPORT(THREAD), %rdi
        cmpq    %rbx, %fs:CT_THREAD_TOP(%rdi)
        jne     .Lcut_off_\name
.Ltop_checked_\name:
  .if \record
        PUT_EXIT %rdi, .Lexit_slow_\name
.Lexited_\name:
  .endif
        movq    CT_FRAME_PARENT(%rbx), %rax
        movq    %rax, %fs:CT_THREAD_TOP(%rdi)
        // Everything out of the frame, then let it go while its slot still says "alive", then use the slot.
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
        .cfi_restore_state
        .cfi_remember_state
        .cfi_same_value rbx
        ret

        // The newest frame lies at or below us: a longjmp, or another stack.
        .cfi_def_cfa_offset 8
        CFI_CALLER_RSP
        CFI_RETURN_IN_FRAME
        CFI_RBX_IN_FRAME
\name\()_aside:
.Lnew_parent_\name:
        movq    %rax, CT_FRAME_PARENT(%rbx)
        jmp     .Lparent_known_\name

.Lcheck_stack_\name:
        CALL_SLOW IMPORT(STACK_SLOW)
        movq    IMPORT(THREAD), %rcx
        jmp     .Lstack_checked_\name

.Lcut_off_\name:
        CALL_SLOW IMPORT(EXIT_SLOW)
        movq    IMPORT(THREAD), %rdi
        jmp     .Ltop_checked_\name

  .if \record
        ENTER_SLOW \name

        // After the body only the result must be kept: rax and rdx are in r8 and r9, CALL_SLOW keeps those.
.Lexit_slow_\name:
        movl    CT_FRAME_EVENT+4(%rbx), %esi
        shlq    $32, %rsi
        orq     $EXIT_ID, %rsi
        CALL_SLOW IMPORT(EVENT_SLOW)
        movq    IMPORT(THREAD), %rdi
        jmp     .Lexited_\name

  .endif

        // No frame at hand: get one, or run the body unhooked.
        .cfi_restore_state
        .cfi_def_cfa_offset 8
        .cfi_same_value rbx
\name\()_aside_end:
.Lno_frame_\name:
        leaq    -SLOW_BYTES(%rsp), %rsp
        .cfi_def_cfa_offset SLOW_BYTES + 8
        SAVE_REST
        movq    %rax, %rdi
        cld
        call    *IMPORT(FRAME_SLOW)
        RESTORE_REST
        leaq    SLOW_BYTES(%rsp), %rsp
        .cfi_def_cfa_offset 8
        testq   %rax, %rax
        jz      .Lunhooked_\name
        movq    IMPORT(THREAD), %rcx
        movq    %rbx, CT_FRAME_SAVED(%rax)
        movq    %rax, %rbx
        CFI_RBX_IN_FRAME
        jmp     .Lclaimed_\name
        .cfi_same_value rbx
        CFI_RBX_IN_FRAME
.Lother_next_\name:
        movq    CT_FRAME_NEXT(%rbx), %rax
        jmp     .Lnext_known_\name
        .cfi_same_value rbx
.Lunhooked_\name:
        movq    SAVED_RCX(%rsp), %rcx
        movq    SAVED_RAX(%rsp), %rax
        jmp     *CT_RECORD_TARGET(%r11)

        // Our return point in the caller's place: the function that was called has jumped here instead of returning,
        // and left us its stack frame and, in rbx, its call frame. Its call ends; the call frame goes on as ours, so
        // that a million tail calls need one. The return slot stays as it is and the body is jumped to: with a call
        // too many the processor would predict this return, and all of our callers', wrong.
        //
        // The frame keeps its age: this may be another thread than the one it was made on, which numbers its frames apart.
        //
        // To the unwinder this is a function that the return point has called.
.Ltail_call_\name:
        cmpq    %rbx, %fs:CT_THREAD_TOP(%rcx)
        jne     .Ltail_cut_off_\name
.Ltail_top_checked_\name:
  .if \record
        PUT_EXIT %rcx, .Ltail_slow_\name
.Ltail_written_\name:
        movl    $CT_FLAGS_FREE, CT_FRAME_FLAGS(%rbx)
        movq    IMPORT(THREAD), %rcx
        movq    SAVED_R11(%rsp), %r11
  .endif
        ENTER   tail_\name, \record, 0
        jmp     *CT_RECORD_TARGET(%r11)

        // Frames above us on the list have not been returned from.
.Ltail_cut_off_\name:
        CALL_SLOW IMPORT(EXIT_SLOW), 0
        movq    IMPORT(THREAD), %rcx
        jmp     .Ltail_top_checked_\name

  .if \record
.Ltail_slow_\name:
        movl    CT_FRAME_EVENT+4(%rbx), %esi
        shlq    $32, %rsi
        orq     $EXIT_ID, %rsi
        CALL_SLOW IMPORT(EVENT_SLOW), 0
        jmp     .Ltail_written_\name

        ENTER_SLOW tail_\name, 0
  .endif
        .cfi_endproc
        .size   \name, . - \name
.endm

        CALL_AROUND ct_recorder, 1, ct_return_point
        CALL_AROUND ct_bare_hook, 0, ct_bare_return_point

        .section .note.GNU-stack, "", @progbits
