// The smallest trampoline of a direct call: x30 leads back into the function, x9 is the caller's return address.
        .text
        .globl  direct_trampoline
        .type   direct_trampoline, @function
direct_trampoline:
        mov     x10, x30
        mov     x30, x9
        ret     x10
        .size   direct_trampoline, . - direct_trampoline
        .section .note.GNU-stack, "", @progbits
