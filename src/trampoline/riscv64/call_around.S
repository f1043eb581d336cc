// Call-around trampolines for RISC-V: the site's stub jumps here with the site record in t0.
//
// Register contract
//   in         t0 = SiteRecord*; ra = return address of the call; everything else but t1 belongs to the program:
//              a0 to a7, t2 to t6, floating-point registers, the stack from sp on
//   body       entered by `jalr` with all of that as it was, and the same sp, so stack arguments are in place
//   out        a0, a1 and floating-point registers as the body left them; callee-saved registers as the ABI has them
//   lost       t0, t1; on return also t2 to t6 and a2 to a7, which a call may change
//   stack      nothing below sp may be used, signal handlers do. At the entry it is moved down by STACK_BYTES, to where
//              t2 to t6 are saved and slow paths find room for the rest; the exit's fast path needs none.
//
// What holds when
//
//        entry               owned                      in the body           after it
//   ra   return address  ->  anything              ->   ct_return_point  ->   return address, then ret
//   s1   the caller's        the call frame             the call frame        the call frame, then the caller's
//   frame->return_address = the caller's; frame->saved = the caller's s1
//
// The body is called with ra, and jumps here use registers that return predictors do not look at (t1; not t0, which is
// "the other link register"), so calls and returns stay paired.
//
// Unwinding. The CFA is the entry's sp as in any function, but for the instruction that calls the body (CFI_IN_BODY).
// From when the frame is owned, the caller's registers are
//   sp = the entry's sp, ra = [s1+CT_FRAME_RET], s1 = [s1+CT_FRAME_SAVED]

#include "trampoline/riscv64/call_frame.inc"

#define EXIT_ID 2

// On the stack: a0 to a7, t0 and ra (slow paths), t2 to t6.
#define SAVED_A0 0
#define SAVED_T0 64
#define SAVED_RA 72
#define SAVED_T2 80
#define STACK_BYTES 128

.macro SAVE_TEMPORARIES
        sd      t2, SAVED_T2(sp)
        sd      t3, SAVED_T2 + 8(sp)
        sd      t4, SAVED_T2 + 16(sp)
        sd      t5, SAVED_T2 + 24(sp)
        sd      t6, SAVED_T2 + 32(sp)
.endm

.macro RESTORE_TEMPORARIES
        ld      t6, SAVED_T2 + 32(sp)
        ld      t5, SAVED_T2 + 24(sp)
        ld      t4, SAVED_T2 + 16(sp)
        ld      t3, SAVED_T2 + 8(sp)
        ld      t2, SAVED_T2(sp)
.endm

.macro SAVE_REST
        sd      a0, SAVED_A0(sp)
        sd      a1, SAVED_A0 + 8(sp)
        sd      a2, SAVED_A0 + 16(sp)
        sd      a3, SAVED_A0 + 24(sp)
        sd      a4, SAVED_A0 + 32(sp)
        sd      a5, SAVED_A0 + 40(sp)
        sd      a6, SAVED_A0 + 48(sp)
        sd      a7, SAVED_A0 + 56(sp)
        sd      t0, SAVED_T0(sp)
        sd      ra, SAVED_RA(sp)
.endm

.macro RESTORE_REST
        ld      ra, SAVED_RA(sp)
        ld      t0, SAVED_T0(sp)
        ld      a7, SAVED_A0 + 56(sp)
        ld      a6, SAVED_A0 + 48(sp)
        ld      a5, SAVED_A0 + 40(sp)
        ld      a4, SAVED_A0 + 32(sp)
        ld      a3, SAVED_A0 + 24(sp)
        ld      a2, SAVED_A0 + 16(sp)
        ld      a1, SAVED_A0 + 8(sp)
        ld      a0, SAVED_A0(sp)
.endm

// Calls a C++ slow path: function(frame, t5). Keeps what belongs to the program, and t0. Reloads t6. `where` is
//   entry   the frame is owned, the stack is taken
//   tail    the caller is the return point, the stack is taken
//   exit    the frame is owned, the stack is not taken
.macro CALL_SLOW import, where
        .cfi_remember_state
  .ifc \where, exit
        addi    sp, sp, -STACK_BYTES
        .cfi_def_cfa_offset STACK_BYTES
  .endif
        SAVE_REST
  .ifc \where, tail
        .cfi_offset ra, SAVED_RA - STACK_BYTES
  .endif
        mv      a0, s1
        mv      a1, t5
        GET_IMPORT t1, \import
        jalr    t1
        RESTORE_REST
  .ifc \where, exit
        addi    sp, sp, STACK_BYTES
  .endif
        .cfi_restore_state
        GET_THREAD
.endm

// Jumps to `slow` unless 0 <= now - last < 2^27. t2 = now. Clobbers t1.
.macro CHECK_GAP slow
        ld      t1, CT_WRITER_LAST(t3)
        sub     t1, t2, t1
        srli    t1, t1, 27
        bnez    t1, \slow
.endm

// t4 = the place for the next event of the writer t3, noted in the frame s1, whose WRITING flag is set. Jumps to
// `slow` when there is none. Before the clock is read: events that a signal handler writes in between take the slot,
// and ours is made anew.
//
// A packet in which an interrupted call has noted its place is not given away (recorder.cpp). A handler that came
// before the note has perhaps done so, and has moved the cursor then. Clobbers t1.
.macro CHOOSE_SLOT slow
        ld      t4, CT_WRITER_CURSOR(t3)
        beqz    t4, \slow
        sw      t4, CT_FRAME_SLOT(s1)
        ld      t1, CT_WRITER_CURSOR(t3)
        bne     t1, t4, \slow
.endm

// Puts the time t2 into the event t5. Clobbers t1.
.macro ADD_TIME
        slli    t1, t2, 37
        srli    t1, t1, 32
        or      t5, t5, t1
.endm

// Writes the event t5, made at time t2 for the call s1, into the slot t4 and then sets the frame's flags. Clobbers t1,
// t5. Jumps to `slow` when the slot is taken: a signal handler was faster, or the packet is full.
//
// The frame notes what is about to be written where, so that if a signal handler leaves by longjmp the event can be
// looked for. A conditional store fails if a signal handler came since the load that reserved. Whoever is interrupted
// between the two pairs has written its event; if the handler then moved the cursor, that is right.
.macro PUT_EVENT flags, slow
        sd      t5, CT_FRAME_EVENT(s1)
1:      lr.d    t1, (t4)
        bnez    t1, \slow
        sc.d    t1, t5, (t4)
        bnez    t1, 1b
        addi    t5, t4, 8
  .if CT_WRITER_CURSOR != 0
        .error "reserving loads have no offset"
  .endif
2:      lr.d    t1, (t3)
        bne     t1, t4, 3f
        sc.d    t1, t5, (t3)
        bnez    t1, 2b
3:      li      t1, \flags
        sw      t1, CT_FRAME_FLAGS(s1)
        sd      t2, CT_WRITER_LAST(t3)
.endm

// Writes the exit event of the frame s1. Clobbers t1 to t5.
.macro PUT_EXIT slow
        ld      t3, CT_THREAD_WRITER(t6)
        lw      t1, CT_FRAME_FLAGS(s1)
        ori     t1, t1, CT_FLAG_WRITING
        sw      t1, CT_FRAME_FLAGS(s1)
        CHOOSE_SLOT \slow
        rdtime  t2
        CHECK_GAP \slow
        EXIT_EVENT
        ADD_TIME
        PUT_EVENT CT_FLAG_REPORTED, \slow
.endm

// t5 = the exit event of the frame s1 without its time.
.macro EXIT_EVENT
        lwu     t5, CT_FRAME_EVENT + 4(s1)
        slli    t5, t5, 32
        ori     t5, t5, EXIT_ID
.endm

// The call begins: writes its entry event, and restores the temporaries. t0 = the record, s1 = the frame.
.macro ENTER label, record
  .if \record
        ld      t3, CT_THREAD_WRITER(t6)
        ld      t5, CT_RECORD_EVENT(t0)
        CHOOSE_SLOT .Lentry_slow_\label
        rdtime  t2
        CHECK_GAP .Lentry_slow_\label
        ADD_TIME
        PUT_EVENT 0, .Lentry_slow_\label
.Lentered_\label:
  .else
        // It leaves the frame's event 0.
        sw      zero, CT_FRAME_FLAGS(s1)
  .endif
        RESTORE_TEMPORARIES
.endm

.macro ENTER_SLOW label, where
.Lentry_slow_\label:
        ld      t5, CT_RECORD_EVENT(t0)
        CALL_SLOW CT_IMPORT_EVENT_SLOW, \where
        j       .Lentered_\label
.endm

        .section calltap_trampolines, "ax", @progbits
        .hidden ct_imports, ct_personality_reference

// One trampoline. `record` is 1 for the recorder, 0 for the bare hook that the benchmarks measure. Between
// name_owned and name_let_go, and name_aside and name_aside_end, s1 is the call frame.
.macro CALL_AROUND name, record, return_point
        .globl  \name, \name\()_owned, \name\()_let_go, \name\()_aside, \name\()_aside_end
        .hidden \name, \name\()_owned, \name\()_let_go, \name\()_aside, \name\()_aside_end
        .type   \name, @function
        .p2align 6
\name:
        .cfi_startproc
        .cfi_personality 0x9b, ct_personality_reference
        addi    sp, sp, -STACK_BYTES
        .cfi_def_cfa_offset STACK_BYTES
        SAVE_TEMPORARIES
        GET_THREAD
        lla     t1, \return_point
        beq     t1, ra, .Ltail_call_\name
        ld      t1, CT_THREAD_FREE(t6)
        CLAIM_FRAME
        bnez    t2, .Lno_frame_\name
        ld      t2, CT_FRAME_NEXT(t1)
        sd      t2, CT_THREAD_FREE(t6)
.Lclaimed_\name:
        sd      s1, CT_FRAME_SAVED(t1)
        sd      ra, CT_FRAME_RET(t1)
        mv      s1, t1
        .cfi_remember_state
        CFI_RETURN_IN_FRAME
        CFI_S1_IN_FRAME
\name\()_owned:
        addi    t1, sp, STACK_BYTES
        LINK_FRAME \name, t1
        ENTER   \name, \record
        ld      t1, CT_RECORD_TARGET(t0)
        addi    sp, sp, STACK_BYTES
        CFI_IN_BODY
        jalr    t1
        .globl  \return_point
        .hidden \return_point
\return_point:
        .cfi_def_cfa sp, 0
        .cfi_restore sp
        // s1 = the frame; a0, a1, fa0 and fa1 hold the result. t0 to t6 and a2 to a7 are free.
        GET_THREAD
        ld      t1, CT_THREAD_TOP(t6)
        bne     t1, s1, .Lcut_off_\name
.Ltop_checked_\name:
  .if \record
        PUT_EXIT .Lexit_slow_\name
.Lexited_\name:
  .endif
        ld      t1, CT_FRAME_PARENT(s1)
        sd      t1, CT_THREAD_TOP(t6)
        // Everything out of the frame, then let it go.
        ld      ra, CT_FRAME_RET(s1)
        .cfi_same_value ra
\name\()_let_go:
        mv      t4, s1
        ld      s1, CT_FRAME_SAVED(s1)
        .cfi_same_value s1
        FREE_FRAME t4
        ret

        CFI_RETURN_IN_FRAME
        CFI_S1_IN_FRAME
\name\()_aside:
.Lcut_off_\name:
        CALL_SLOW CT_IMPORT_EXIT_SLOW, exit
        j       .Ltop_checked_\name

  .if \record
.Lexit_slow_\name:
        EXIT_EVENT
        CALL_SLOW CT_IMPORT_EVENT_SLOW, exit
        j       .Lexited_\name
  .endif

        // The newest frame lies at or below us: a longjmp, or another stack.
        .cfi_def_cfa_offset STACK_BYTES
.Lcheck_stack_\name:
        CALL_SLOW CT_IMPORT_STACK_SLOW, entry
        j       .Lstack_checked_\name

  .if \record
        ENTER_SLOW \name, entry
  .endif

\name\()_aside_end:
        .cfi_restore_state
        // No frame at hand: get one, or run the body unhooked.
.Lno_frame_\name:
        .cfi_remember_state
        SAVE_REST
        .cfi_offset ra, SAVED_RA - STACK_BYTES
        mv      a0, t1
        GET_IMPORT t1, CT_IMPORT_FRAME_SLOW
        jalr    t1
        mv      t1, a0
        RESTORE_REST
        .cfi_restore_state
        beqz    t1, .Lunhooked_\name
        GET_THREAD
        j       .Lclaimed_\name

        // Our return point in the caller's place: the function that was called has jumped here instead of returning, and
        // left us its stack frame and, in s1, its call frame. Its call ends; the call frame goes on as ours, so that a
        // million tail calls need one. The body is jumped to: with a call too many the processor would predict this
        // return, and all of our callers', wrong.
        //
        // The frame keeps its age: this may be another thread than the one it was made on, which numbers its frames apart.
        //
        // To the unwinder this is a function that the return point has called.
.Ltail_call_\name:
        ld      t1, CT_THREAD_TOP(t6)
        bne     t1, s1, .Ltail_cut_off_\name
.Ltail_top_checked_\name:
  .if \record
        PUT_EXIT .Ltail_slow_\name
.Ltail_written_\name:
        li      t1, CT_FLAGS_FREE
        sw      t1, CT_FRAME_FLAGS(s1)
  .endif
        ENTER   tail_\name, \record
.Lgo_on_\name:
        .cfi_remember_state
        ld      t1, CT_RECORD_TARGET(t0)
        addi    sp, sp, STACK_BYTES
        .cfi_def_cfa_offset 0
        jr      t1
        .cfi_restore_state

.Lunhooked_\name:
        RESTORE_TEMPORARIES
        j       .Lgo_on_\name

        // Frames above us on the list have not been returned from.
.Ltail_cut_off_\name:
        CALL_SLOW CT_IMPORT_EXIT_SLOW, tail
        j       .Ltail_top_checked_\name

  .if \record
.Ltail_slow_\name:
        EXIT_EVENT
        CALL_SLOW CT_IMPORT_EVENT_SLOW, tail
        j       .Ltail_written_\name

        ENTER_SLOW tail_\name, tail
  .endif
        .cfi_endproc
        .size   \name, . - \name
.endm

        CALL_AROUND ct_recorder, 1, ct_return_point
        CALL_AROUND ct_bare_hook, 0, ct_bare_return_point

        .section .note.GNU-stack, "", @progbits
