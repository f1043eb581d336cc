// registers_check(State* set, State* inside, State* after, unsigned width)
//
// Sets every register and two stack arguments to the bytes of `set`, calls the hooked function registers_callee, which
// stores what it received to `inside` and returns what is in registers_result, with 1 in st0 and pi in st1; what the
// caller then sees goes to `after`. width: 16, 32 or 64 bytes of the vector registers are in use.
//
// registers_body is the function behind its patchable entry, and may stand for it.
//
// State: 0 general registers 8 * 16, in the order rax rbx rcx rdx rsi rdi rbp r8-r15 (rsp left out, 15 used)
//        128 mxcsr, 132 x87 control word, 136 flags, 144 stack arguments 8 * 2, 160 state components in use (XGETBV 1)
//        192 zmm0-15, 64 bytes each

#define kMxcsr 128
#define kX87 132
#define kFlags 136
#define kStack 144
#define kInUse 160
#define kVectors 192

        .text

.macro load_vectors width
  .if \width == 64
    .irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15
        vmovdqu64 kVectors + \n * 64(%r11), %zmm\n
    .endr
  .elseif \width == 32
    .irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15
        vmovdqu kVectors + \n * 64(%r11), %ymm\n
    .endr
  .else
    .irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15
        movdqu kVectors + \n * 64(%r11), %xmm\n
    .endr
  .endif
.endm

.macro store_vectors width
  .if \width == 64
    .irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15
        vmovdqu64 %zmm\n, kVectors + \n * 64(%r11)
    .endr
  .elseif \width == 32
    .irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15
        vmovdqu %ymm\n, kVectors + \n * 64(%r11)
    .endr
  .else
    .irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15
        movdqu %xmm\n, kVectors + \n * 64(%r11)
    .endr
  .endif
.endm

.macro load_general
        movq 0(%r11), %rax
        movq 8(%r11), %rbx
        movq 16(%r11), %rcx
        movq 24(%r11), %rdx
        movq 32(%r11), %rsi
        movq 40(%r11), %rdi
        movq 48(%r11), %rbp
        movq 56(%r11), %r8
        movq 64(%r11), %r9
        movq 72(%r11), %r10
        movq 88(%r11), %r12
        movq 96(%r11), %r13
        movq 104(%r11), %r14
        movq 112(%r11), %r15
.endm

// r11 is the scratch register: the hook may lose it.
.macro store_general
        movq %rax, 0(%r11)
        movq %rbx, 8(%r11)
        movq %rcx, 16(%r11)
        movq %rdx, 24(%r11)
        movq %rsi, 32(%r11)
        movq %rdi, 40(%r11)
        movq %rbp, 48(%r11)
        movq %r8, 56(%r11)
        movq %r9, 64(%r11)
        movq %r10, 72(%r11)
        movq %r12, 88(%r11)
        movq %r13, 96(%r11)
        movq %r14, 104(%r11)
        movq %r15, 112(%r11)
        stmxcsr kMxcsr(%r11)
        fnstcw kX87(%r11)
        pushfq
        popq kFlags(%r11)
.endm

// Clobbers rax, rcx, rdx.
.macro store_in_use
        cmpl $0, registers_has_in_use(%rip)
        je 4f
        movl $1, %ecx
        xgetbv
        movl %eax, kInUse(%r11)
4:
.endm

.macro by_width macro
        cmpl $32, registers_width(%rip)
        ja 1f
        je 2f
        \macro 16
        jmp 3f
1:      \macro 64
        jmp 3f
2:      \macro 32
3:
.endm

        .globl registers_check
        .type registers_check, @function
registers_check:
        .cfi_startproc
        pushq %rbx
        .cfi_adjust_cfa_offset 8
        pushq %rbp
        .cfi_adjust_cfa_offset 8
        pushq %r12
        .cfi_adjust_cfa_offset 8
        pushq %r13
        .cfi_adjust_cfa_offset 8
        pushq %r14
        .cfi_adjust_cfa_offset 8
        pushq %r15
        .cfi_adjust_cfa_offset 8
        subq $8, %rsp
        .cfi_adjust_cfa_offset 8
        movq %rdi, registers_set(%rip)
        movq %rsi, registers_inside(%rip)
        movq %rdx, registers_after(%rip)
        movl %ecx, registers_width(%rip)
        stmxcsr registers_saved_mxcsr(%rip)
        fnstcw registers_saved_x87(%rip)
        movq %rdi, %r11
        by_width load_vectors
        ldmxcsr kMxcsr(%r11)
        fldcw kX87(%r11)
        store_in_use
        pushq kStack+8(%r11)
        .cfi_adjust_cfa_offset 8
        pushq kStack(%r11)
        .cfi_adjust_cfa_offset 8
        load_general
        call registers_callee
        leaq 16(%rsp), %rsp
        .cfi_adjust_cfa_offset -16
        movq registers_after(%rip), %r11
        store_general
        store_in_use
        by_width store_vectors
        fstpt registers_st0(%rip)
        fstpt registers_st1(%rip)
        cld
        ldmxcsr registers_saved_mxcsr(%rip)
        fldcw registers_saved_x87(%rip)
        cmpl $16, registers_width(%rip)
        je 1f
        vzeroupper
1:      addq $8, %rsp
        .cfi_adjust_cfa_offset -8
        popq %r15
        .cfi_adjust_cfa_offset -8
        popq %r14
        .cfi_adjust_cfa_offset -8
        popq %r13
        .cfi_adjust_cfa_offset -8
        popq %r12
        .cfi_adjust_cfa_offset -8
        popq %rbp
        .cfi_adjust_cfa_offset -8
        popq %rbx
        .cfi_adjust_cfa_offset -8
        ret
        .cfi_endproc
        .size registers_check, . - registers_check

// The hooked function: a sled as the compiler makes it for 18,16.
        .section __patchable_function_entries, "awo", @progbits, .text
        .balign 8
        .quad .Lcallee_pad
        .text
        .balign 16
.Lcallee_pad:
        .fill 16, 1, 0x90
        .globl registers_callee
        .type registers_callee, @function
registers_callee:
        .cfi_startproc
        nop
        nop
        .globl registers_body
registers_body:
        movq registers_inside(%rip), %r11
        store_general
        movq 8(%rsp), %rax
        movq %rax, kStack(%r11)
        movq 16(%rsp), %rax
        movq %rax, kStack+8(%r11)
        store_in_use
        by_width store_vectors
        fldpi
        fld1
        movq registers_result(%rip), %r11
        by_width load_vectors
        movq 0(%r11), %rax
        movq 24(%r11), %rdx
        ret
        .cfi_endproc
        .size registers_callee, . - registers_callee

        .bss
        .balign 16
        .globl registers_st0, registers_st1, registers_result, registers_has_in_use
registers_set: .skip 8
registers_inside: .skip 8
registers_after: .skip 8
registers_result: .skip 8
registers_st0: .skip 16
registers_st1: .skip 16
registers_saved_mxcsr: .skip 4
registers_saved_x87: .skip 4
registers_width: .skip 4
registers_has_in_use: .skip 4
        .section .note.GNU-stack, "", @progbits
