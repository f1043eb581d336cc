// The smallest trampoline of a direct call.
        .text
        .globl  direct_trampoline
        .type   direct_trampoline, @function
direct_trampoline:
        ret
        .size   direct_trampoline, . - direct_trampoline
        .section .note.GNU-stack, "", @progbits
