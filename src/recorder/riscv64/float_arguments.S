// void ct_read_float_arguments(uint64_t words[8]): the floating-point registers that pass arguments.

        .text
        .globl  ct_read_float_arguments
        .hidden ct_read_float_arguments
        .type   ct_read_float_arguments, %function
ct_read_float_arguments:
        .cfi_startproc
        fsd     fa0, 0(a0)
        fsd     fa1, 8(a0)
        fsd     fa2, 16(a0)
        fsd     fa3, 24(a0)
        fsd     fa4, 32(a0)
        fsd     fa5, 40(a0)
        fsd     fa6, 48(a0)
        fsd     fa7, 56(a0)
        ret
        .cfi_endproc
        .size   ct_read_float_arguments, . - ct_read_float_arguments

        .section .note.GNU-stack, "", %progbits
