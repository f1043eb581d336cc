// The smallest trampoline of a direct call: t0 leads back into the function, ra is the caller's return address.
        .text
        .globl  direct_trampoline
        .type   direct_trampoline, @function
direct_trampoline:
        jr      t0
        .size   direct_trampoline, . - direct_trampoline
        .section .note.GNU-stack, "", @progbits
