// void ct_read_float_arguments(uint64_t words[8]): the low halves of the vector registers that pass arguments.

        .text
        .globl  ct_read_float_arguments
        .hidden ct_read_float_arguments
        .type   ct_read_float_arguments, @function
ct_read_float_arguments:
        .cfi_startproc
        movq    %xmm0, 0(%rdi)
        movq    %xmm1, 8(%rdi)
        movq    %xmm2, 16(%rdi)
        movq    %xmm3, 24(%rdi)
        movq    %xmm4, 32(%rdi)
        movq    %xmm5, 40(%rdi)
        movq    %xmm6, 48(%rdi)
        movq    %xmm7, 56(%rdi)
        ret
        .cfi_endproc
        .size   ct_read_float_arguments, . - ct_read_float_arguments

        .section .note.GNU-stack, "", @progbits
