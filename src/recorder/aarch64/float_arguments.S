// void ct_read_float_arguments(uint64_t words[8]): the low halves of the vector registers that pass arguments.

        .text
        .globl  ct_read_float_arguments
        .hidden ct_read_float_arguments
        .type   ct_read_float_arguments, %function
ct_read_float_arguments:
        .cfi_startproc
        stp     d0, d1, [x0]
        stp     d2, d3, [x0, #16]
        stp     d4, d5, [x0, #32]
        stp     d6, d7, [x0, #48]
        ret
        .cfi_endproc
        .size   ct_read_float_arguments, . - ct_read_float_arguments

        .section .note.GNU-stack, "", %progbits
