// registers_check(State* set, State* inside, State* after)
//
// Sets every register and two stack arguments to the bytes of `set`, calls the hooked function registers_callee, which
// stores what it received to `inside` and returns what is in registers_result; what the caller then sees goes to `after`.
//
// registers_body is the function behind its patchable entry, and may stand for it.
//
// State: 0 x0-31, 8 bytes each    256 f0-31, 8 bytes each    512 fcsr    520 stack arguments 8 * 2

#define kFloat 256
#define kControl 512
#define kStack 520
#define kSaved 256  // what registers_check keeps of its caller

        .option norelax
        .text

// All but sp, gp, tp, and ra, t0 and t1, which the call and the hook may lose. t1 = State*.
.macro each_general instruction
  .irp n, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31
        \instruction x\n, \n * 8(t1)
  .endr
.endm

.macro each_float instruction
  .irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31
        \instruction f\n, kFloat + \n * 8(t1)
  .endr
.endm

// Clobbers t0.
.macro store_all
        each_general sd
        sd      sp, 2 * 8(t1)
        sd      gp, 3 * 8(t1)
        sd      tp, 4 * 8(t1)
        each_float fsd
        frcsr   t0
        sd      t0, kControl(t1)
.endm

.macro each_saved general, float
  .irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11
        \general s\n, \n * 8(sp)
        \float  fs\n, 96 + \n * 8(sp)
  .endr
.endm

        .globl  registers_check
        .type   registers_check, @function
registers_check:
        .cfi_startproc
        addi    sp, sp, -kSaved
        .cfi_def_cfa_offset kSaved
        sd      ra, kSaved - 8(sp)
        .cfi_offset ra, -8
        each_saved sd, fsd
        frcsr   t0
        sd      t0, kSaved - 16(sp)
        lla     t0, registers_inside
        sd      a1, (t0)
        sd      a2, 8(t0)
        mv      t1, a0
        addi    sp, sp, -16
        .cfi_def_cfa_offset kSaved + 16
        ld      t0, kStack(t1)
        sd      t0, 0(sp)
        ld      t0, kStack + 8(t1)
        sd      t0, 8(sp)
        ld      t0, kControl(t1)
        fscsr   t0
        each_float fld
        each_general ld
        call    registers_callee
        lla     t0, registers_after
        ld      t1, (t0)
        store_all
        addi    sp, sp, 16
        .cfi_def_cfa_offset kSaved
        ld      t0, kSaved - 16(sp)
        fscsr   t0
        each_saved ld, fld
        ld      ra, kSaved - 8(sp)
        .cfi_restore ra
        addi    sp, sp, kSaved
        .cfi_def_cfa_offset 0
        ret
        .cfi_endproc
        .size   registers_check, . - registers_check

// The hooked function: a sled as the compiler makes it for 9,8.
        .section __patchable_function_entries, "awo", @progbits, .text
        .balign 8
        .quad   .Lcallee_pad
        .text
        .balign 8
.Lcallee_pad:
  .rept 8
        c.nop
  .endr
        .globl  registers_callee
        .type   registers_callee, @function
registers_callee:
        .cfi_startproc
        c.nop
        .globl  registers_body
registers_body:
        lla     t0, registers_inside
        ld      t1, (t0)
        store_all
        ld      t0, 0(sp)
        sd      t0, kStack(t1)
        ld      t0, 8(sp)
        sd      t0, kStack + 8(t1)
        // All that a function may change.
        lla     t0, registers_result
        ld      t1, (t0)
  .irp n, 0, 1, 2, 3, 4, 5, 6, 7, 10, 11, 12, 13, 14, 15, 16, 17, 28, 29, 30, 31
        fld     f\n, kFloat + \n * 8(t1)
  .endr
  .irp n, 5, 7, 10, 11, 12, 13, 14, 15, 16, 17, 28, 29, 30, 31
        ld      x\n, \n * 8(t1)
  .endr
        ret
        .cfi_endproc
        .size   registers_callee, . - registers_callee

        .bss
        .balign 8
        .globl  registers_result
registers_inside: .skip 8
registers_after: .skip 8
registers_result: .skip 8
        .section .note.GNU-stack, "", @progbits
