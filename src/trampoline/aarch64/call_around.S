// Call-around trampolines for AArch64: the site's stub jumps here with the site record in x17.
//
// Register contract
//   in         x17 = SiteRecord*; x30 = return address of the call; everything else belongs to the program:
//              x0 to x8, x18, vector registers, the stack from sp on. x9 to x16 carry nothing.
//   body       entered by `blr` with all of that as it was, and the same sp, so stack arguments are in place
//   out        x0 to x8 and vector registers as the body left them; callee-saved registers as the ABI has them
//   lost       x9 to x17, flags
//   stack      nothing below sp may be used, signal handlers do. The fast paths need none.
//
// What holds when
//
//        entry               owned                      in the body           after it
//   x30  return address  ->  anything              ->   ct_return_point  ->   return address, then ret
//   x19  the caller's        the call frame             the call frame        the call frame, then the caller's
//   frame->return_address = the caller's; frame->saved = the caller's x19
//
// The body saves x30 where it likes, perhaps signed with its stack pointer: it signs and checks our return point, and
// is none the wiser. It is entered with an indirect branch, so where the program's pages are guarded (BTI) the body
// begins with a landing pad: the patcher makes one of the sled's second NOP.
//
// Unwinding. The CFA is the entry's sp as in any function, but for the instruction that calls the body (CFI_IN_BODY). From
// the moment the frame is owned the caller's x30 and x19 are in it.

#include "trampoline/aarch64/call_frame.inc"

#define EXIT_ID 2

// What a slow path keeps: x0 to x8, x17, x18, x30.
#define SLOW_BYTES 96

.macro SAVE_REST
        sub     sp, sp, #SLOW_BYTES
        stp     x0, x1, [sp]
        stp     x2, x3, [sp, #16]
        stp     x4, x5, [sp, #32]
        stp     x6, x7, [sp, #48]
        stp     x8, x17, [sp, #64]
        stp     x18, x30, [sp, #80]
.endm

.macro RESTORE_REST
        ldp     x18, x30, [sp, #80]
        ldp     x8, x17, [sp, #64]
        ldp     x6, x7, [sp, #48]
        ldp     x4, x5, [sp, #32]
        ldp     x2, x3, [sp, #16]
        ldp     x0, x1, [sp]
        add     sp, sp, #SLOW_BYTES
.endm

// Calls a C++ slow path: function(frame, x13). Keeps what belongs to the program, and x17. Reloads x15.
.macro CALL_SLOW import, owned=1
        .cfi_remember_state
        SAVE_REST
        .cfi_def_cfa_offset SLOW_BYTES
  .if !\owned
        .cfi_offset 30, -8
  .endif
        mov     x0, x19
        mov     x1, x13
        GET_IMPORT x16, \import
        blr     x16
        RESTORE_REST
        .cfi_restore_state
        GET_THREAD
.endm

// Jumps to `slow` unless 0 <= now - last < 2^27. x11 = now. Clobbers x9.
.macro CHECK_GAP slow
        ldr     x9, [x14, #CT_WRITER_LAST]
        sub     x9, x11, x9
        lsr     x9, x9, #27
        cbnz    x9, \slow
.endm

// x12 = the place for the next event of the writer x14, noted in the frame x19, whose WRITING flag is set. Jumps to
// `slow` when there is none. Before the clock is read: events that a signal handler writes in between take the slot,
// and ours is made anew.
//
// A packet in which an interrupted call has noted its place is not given away (recorder.cpp). A handler that came
// before the note has perhaps done so, and has moved the cursor then. Clobbers x9.
.macro CHOOSE_SLOT slow
        ldr     x12, [x14, #CT_WRITER_CURSOR]
        cbz     x12, \slow
        str     w12, [x19, #CT_FRAME_SLOT]
        ldr     x9, [x14, #CT_WRITER_CURSOR]
        cmp     x9, x12
        b.ne    \slow
.endm

// Writes the event x13, made at time x11 for the call x19, into the slot x12 and then sets the frame's flags. Clobbers
// x9, x10. Jumps to `slow` when the slot is taken: a signal handler was faster, or the packet is full.
//
// The frame notes what is about to be written where, so that if a signal handler leaves by longjmp the event can be
// looked for. An exclusive store fails if a signal handler came since the exclusive load. Whoever is interrupted between
// the two pairs has written its event; if the handler then moved the cursor, that is right.
.macro PUT_EVENT flags, slow
        str     x13, [x19, #CT_FRAME_EVENT]
1:      ldxr    x9, [x12]
        cbnz    x9, \slow
        stxr    w10, x13, [x12]
        cbnz    w10, 1b
        add     x9, x12, #8
  .if CT_WRITER_CURSOR != 0
        .error "exclusive loads have no offset"
  .endif
2:      ldxr    x10, [x14]
        cmp     x10, x12
        b.ne    3f
        stxr    w10, x9, [x14]
        cbnz    w10, 2b
3:      mov     w9, #\flags
        str     w9, [x19, #CT_FRAME_FLAGS]
        str     x11, [x14, #CT_WRITER_LAST]
.endm

// Writes the exit event of the frame x19. Clobbers x9 to x14.
.macro PUT_EXIT slow
        ldr     x14, [x15, #CT_THREAD_WRITER]
        ldr     w9, [x19, #CT_FRAME_FLAGS]
        orr     w9, w9, #CT_FLAG_WRITING
        str     w9, [x19, #CT_FRAME_FLAGS]
        CHOOSE_SLOT \slow
        mrs     x11, cntvct_el0
        CHECK_GAP \slow
        ldr     w13, [x19, #CT_FRAME_EVENT + 4]
        lsl     w9, w11, #5
        orr     w9, w9, #EXIT_ID
        orr     x13, x9, x13, lsl #32
        PUT_EVENT CT_FLAG_REPORTED, \slow
.endm

// x13 = the exit event of the frame x19 without its time.
.macro SLOW_EXIT_EVENT
        ldr     w13, [x19, #CT_FRAME_EVENT + 4]
        lsl     x13, x13, #32
        orr     x13, x13, #EXIT_ID
.endm

// The call begins: writes its entry event. x17 = the record, x19 = the frame.
.macro ENTER label, record
  .if \record
        ldr     x14, [x15, #CT_THREAD_WRITER]
        ldr     x13, [x17, #CT_RECORD_EVENT]
        CHOOSE_SLOT .Lentry_slow_\label
        mrs     x11, cntvct_el0
        CHECK_GAP .Lentry_slow_\label
        lsl     w9, w11, #5
        orr     x13, x13, x9
        PUT_EVENT 0, .Lentry_slow_\label
.Lentered_\label:
  .else
        // It leaves the frame's event 0.
        str     wzr, [x19, #CT_FRAME_FLAGS]
  .endif
.endm

.macro ENTER_SLOW label, owned=1
.Lentry_slow_\label:
        ldr     x13, [x17, #CT_RECORD_EVENT]
        CALL_SLOW CT_IMPORT_EVENT_SLOW, \owned
        b       .Lentered_\label
.endm

        .section calltap_trampolines, "ax", %progbits
        .hidden ct_imports, ct_personality_reference

// One trampoline. `record` is 1 for the recorder, 0 for the bare hook that the benchmarks measure. Between
// name_owned and name_let_go, and name_aside and name_aside_end, x19 is the call frame.
.macro CALL_AROUND name, record, return_point
        .globl  \name, \name\()_owned, \name\()_let_go, \name\()_aside, \name\()_aside_end
        .hidden \name, \name\()_owned, \name\()_let_go, \name\()_aside, \name\()_aside_end
        .type   \name, %function
        .p2align 6
\name:
        .cfi_startproc
        .cfi_personality 0x9b, ct_personality_reference
        BTI_C
        GET_THREAD
        adr     x9, \return_point
        cmp     x9, x30
        b.eq    .Ltail_call_\name
        ldr     x9, [x15, #CT_THREAD_FREE]
        CLAIM_FRAME
        cbnz    w11, .Lno_frame_\name
        ldr     x10, [x9, #CT_FRAME_NEXT]
        str     x10, [x15, #CT_THREAD_FREE]
.Lclaimed_\name:
        str     x19, [x9, #CT_FRAME_SAVED]
        str     x30, [x9, #CT_FRAME_RET]
        mov     x19, x9
        .cfi_remember_state
        CFI_RETURN_IN_FRAME
        CFI_X19_IN_FRAME
\name\()_owned:
        mov     x11, sp
        LINK_FRAME \name, x11
        ENTER   \name, \record
        ldr     x16, [x17, #CT_RECORD_TARGET]
        CFI_IN_BODY
        blr     x16
        .globl  \return_point
        .hidden \return_point
\return_point:
        CFI_BODY_LEFT
        // x19 = the frame; x0 to x8 and the vector registers hold the result.
        GET_THREAD
        ldr     x9, [x15, #CT_THREAD_TOP]
        cmp     x9, x19
        b.ne    .Lcut_off_\name
.Ltop_checked_\name:
  .if \record
        PUT_EXIT .Lexit_slow_\name
.Lexited_\name:
  .endif
        ldr     x9, [x19, #CT_FRAME_PARENT]
        str     x9, [x15, #CT_THREAD_TOP]
        // Everything out of the frame, then let it go.
        ldr     x30, [x19, #CT_FRAME_RET]
        .cfi_same_value x30
\name\()_let_go:
        mov     x10, x19
        ldr     x19, [x19, #CT_FRAME_SAVED]
        .cfi_same_value x19
        FREE_FRAME x10
        ret

        CFI_RETURN_IN_FRAME
        CFI_X19_IN_FRAME
\name\()_aside:
        // The newest frame lies at or below us: a longjmp, or another stack.
.Lcheck_stack_\name:
        CALL_SLOW CT_IMPORT_STACK_SLOW
        b       .Lstack_checked_\name

.Lcut_off_\name:
        CALL_SLOW CT_IMPORT_EXIT_SLOW
        b       .Ltop_checked_\name

  .if \record
        ENTER_SLOW \name

.Lexit_slow_\name:
        SLOW_EXIT_EVENT
        CALL_SLOW CT_IMPORT_EVENT_SLOW
        b       .Lexited_\name
  .endif

\name\()_aside_end:
        .cfi_restore_state
        // No frame at hand: get one, or run the body unhooked.
.Lno_frame_\name:
        .cfi_remember_state
        SAVE_REST
        .cfi_def_cfa_offset SLOW_BYTES
        .cfi_offset 30, -8
        mov     x0, x9
        GET_IMPORT x16, CT_IMPORT_FRAME_SLOW
        blr     x16
        mov     x9, x0
        RESTORE_REST
        .cfi_restore_state
        cbz     x9, .Lunhooked_\name
        GET_THREAD
        b       .Lclaimed_\name
.Lunhooked_\name:
        ldr     x16, [x17, #CT_RECORD_TARGET]
        br      x16

        // Our return point in the caller's place: the function that was called has jumped here instead of returning, and
        // left us its stack frame and, in x19, its call frame. Its call ends; the call frame goes on as ours, so that a
        // million tail calls need one. The body is jumped to: with a call too many the processor would predict this
        // return, and all of our callers', wrong.
        //
        // The frame keeps its age: this may be another thread than the one it was made on, which numbers its frames apart.
        //
        // To the unwinder this is a function that the return point has called.
.Ltail_call_\name:
        ldr     x9, [x15, #CT_THREAD_TOP]
        cmp     x9, x19
        b.ne    .Ltail_cut_off_\name
.Ltail_top_checked_\name:
  .if \record
        PUT_EXIT .Ltail_slow_\name
.Ltail_written_\name:
        mov     w9, #CT_FLAGS_FREE
        str     w9, [x19, #CT_FRAME_FLAGS]
  .endif
        ENTER   tail_\name, \record
        ldr     x16, [x17, #CT_RECORD_TARGET]
        br      x16

        // Frames above us on the list have not been returned from.
.Ltail_cut_off_\name:
        CALL_SLOW CT_IMPORT_EXIT_SLOW, 0
        b       .Ltail_top_checked_\name

  .if \record
.Ltail_slow_\name:
        SLOW_EXIT_EVENT
        CALL_SLOW CT_IMPORT_EVENT_SLOW, 0
        b       .Ltail_written_\name

        ENTER_SLOW tail_\name, 0
  .endif
        .cfi_endproc
        .size   \name, . - \name
.endm

        CALL_AROUND ct_recorder, 1, ct_return_point
        CALL_AROUND ct_bare_hook, 0, ct_bare_return_point

        .section .note.GNU-stack, "", %progbits
