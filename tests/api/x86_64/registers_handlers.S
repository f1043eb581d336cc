// Handlers that change everything that a called function may change.
//
// Register contract: as the ABI has it for functions; nothing is kept that need not be.

#define kGarbage 0x6a7ba6e5deadbeef

        .text

// Also the 128 bytes below rsp, which a function may use without saying so. eax = 0: an entry handler wants its exit.
.macro dirty_general_registers
  .irp offset, 8, 16, 24, 32, 40, 48, 56, 64, 72, 80, 88, 96, 104, 112, 120, 128
        movq $-1, -\offset(%rsp)
  .endr
  .irp register, rcx, rdx, rsi, rdi, r8, r9, r10, r11
        movabsq $kGarbage, %\register
  .endr
        xorl %eax, %eax
        stc
.endm

        .globl dirty_general
        .type dirty_general, @function
dirty_general:
        .cfi_startproc
        dirty_general_registers
        ret
        .cfi_endproc
        .size dirty_general, . - dirty_general

// Leaves the upper halves in use, which a function may, though compilers do not. The x87 stack is full in between, and
// empty at the end as it must be.
        .globl dirty_everything
        .type dirty_everything, @function
dirty_everything:
        .cfi_startproc
  .irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
        pcmpeqd %xmm\n, %xmm\n
  .endr
        cmpl $32, dirty_width(%rip)
        jb 1f
  .irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
        vpcmpeqd %ymm\n, %ymm\n, %ymm\n
  .endr
        cmpl $64, dirty_width(%rip)
        jb 1f
  .irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31
        vpternlogd $0xff, %zmm\n, %zmm\n, %zmm\n
  .endr
  .irp n, 0, 1, 2, 3, 4, 5, 6, 7
        kxnorw %k\n, %k\n, %k\n
  .endr
1:
  .rept 8
        fldl2e
  .endr
  .rept 8
        fstp %st(0)
  .endr
        dirty_general_registers
        ret
        .cfi_endproc
        .size dirty_everything, . - dirty_everything

// A direct call's trampoline: r11 and flags are all that it may lose.
        .globl dirty_direct
        .type dirty_direct, @function
dirty_direct:
        .cfi_startproc
        movabsq $kGarbage, %r11
        stc
        ret
        .cfi_endproc
        .size dirty_direct, . - dirty_direct

        .bss
        .globl dirty_width
        .balign 4
dirty_width: .skip 4
        .section .note.GNU-stack, "", @progbits
