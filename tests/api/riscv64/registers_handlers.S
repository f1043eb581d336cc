// Handlers that change everything that a called function may change.
//
// Register contract: as the ABI has it for functions; nothing is kept that need not be.

#define kGarbage 0x6a7ba6e5deadbeef

        .option norelax
        .text

// Also the stack below sp. a0 = 0: an entry handler wants its exit.
.macro dirty_general_registers
        addi    sp, sp, -256
        li      t0, -1
  .irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31
        sd      t0, \n * 8(sp)
  .endr
        addi    sp, sp, 256
        li      t0, kGarbage
  .irp register, t1, t2, t3, t4, t5, t6, a1, a2, a3, a4, a5, a6, a7
        mv      \register, t0
  .endr
        li      a0, 0
.endm

        .globl  dirty_general
        .type   dirty_general, @function
dirty_general:
        .cfi_startproc
        dirty_general_registers
        ret
        .cfi_endproc
        .size   dirty_general, . - dirty_general

        .globl  dirty_everything
        .type   dirty_everything, @function
dirty_everything:
        .cfi_startproc
        dirty_general_registers
  .irp register, ft0, ft1, ft2, ft3, ft4, ft5, ft6, ft7, ft8, ft9, ft10, ft11, fa0, fa1, fa2, fa3, fa4, fa5, fa6, fa7
        fmv.d.x \register, t0
  .endr
        fsflagsi 0x1f
        ret
        .cfi_endproc
        .size   dirty_everything, . - dirty_everything

// A direct call's trampoline: t1 is all that it may lose.
        .globl  dirty_direct
        .type   dirty_direct, @function
dirty_direct:
        .cfi_startproc
        .cfi_return_column t0
        li      t1, kGarbage & 0xffff
        jr      t0
        .cfi_endproc
        .size   dirty_direct, . - dirty_direct

        .bss
        .globl  dirty_width
        .balign 4
dirty_width: .skip 4
        .section .note.GNU-stack, "", @progbits
