// round_xmm, round_ymm, round_zmm(registers, area, save, restore): loads the first eight vector registers, calls `save`,
// sets every bit of the widest registers, calls `restore` with what `save` returned, stores the registers, and returns
// what `save` has returned. The registers are 64 bytes apart in memory. Needs AVX.
.macro EACH instruction, prefix, store
  .irp n, 0, 1, 2, 3, 4, 5, 6, 7
    .if \store
        \instruction %\prefix\n, \n*64(%rbx)
    .else
        \instruction \n*64(%rbx), %\prefix\n
    .endif
  .endr
.endm

.macro ROUND name, load, prefix, wide, ones
        .globl  \name
        .type   \name, @function
\name:
        pushq   %rbx
        pushq   %r12
        pushq   %r13
        pushq   %r14
        subq    $8, %rsp
        movq    %rdi, %rbx
        movq    %rsi, %r12
        movq    %rcx, %r13
        movq    %r12, %r8
        vzeroupper
        EACH    \load, \prefix, 0
        call    *%rdx
        movl    %eax, %r14d
  .irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
        \ones \wide\n
  .endr
        movq    %r12, %r8
        movl    %r14d, %eax
        call    *%r13
        EACH    \load, \prefix, 1
        vzeroupper
        movl    %r14d, %eax
        addq    $8, %rsp
        popq    %r14
        popq    %r13
        popq    %r12
        popq    %rbx
        ret
        .size   \name, . - \name
.endm

.macro ONES_XMM register
        pcmpeqd %\register, %\register
.endm
.macro ONES_YMM register
        vcmptrueps %\register, %\register, %\register
.endm
.macro ONES_ZMM register
        vpternlogd $0xff, %\register, %\register, %\register
.endm

        .text
        ROUND   round_xmm, movups, xmm, xmm, ONES_XMM
        ROUND   round_ymm, vmovups, ymm, ymm, ONES_YMM
        ROUND   round_zmm, vmovups, zmm, zmm, ONES_ZMM

        .section .note.GNU-stack, "", @progbits
