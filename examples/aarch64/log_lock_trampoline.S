// A trampoline for lock_acquire(), AArch64.
//
//   in    x30 back into the function, x9 the address that the function returns to, all else as its caller left it
//   out   to the address that was in x30, with x9 in x30, all else as it was; only x9 to x17 and the flags may be lost
//
// Vector registers are not saved: lock_acquire() takes no argument in one.
        .text
        .balign 4
        .globl  log_acquire_trampoline
        .hidden log_acquire
        .type   log_acquire_trampoline, %function
log_acquire_trampoline:
        .cfi_startproc
        hint    #34  // bti c
        stp     x29, x30, [sp, #-112]!
        .cfi_def_cfa_offset 112
        .cfi_offset x29, -112
        .cfi_offset x30, -104
        mov     x29, sp
        stp     x0, x1, [sp, #16]
        stp     x2, x3, [sp, #32]
        stp     x4, x5, [sp, #48]
        stp     x6, x7, [sp, #64]
        stp     x8, x9, [sp, #80]
        str     x18, [sp, #96]
        mov     x1, x9
        bl      log_acquire
        ldr     x18, [sp, #96]
        ldp     x8, x9, [sp, #80]
        ldp     x6, x7, [sp, #64]
        ldp     x4, x5, [sp, #48]
        ldp     x2, x3, [sp, #32]
        ldp     x0, x1, [sp, #16]
        ldp     x29, x10, [sp], #112
        .cfi_def_cfa_offset 0
        .cfi_restore x29
        .cfi_register x30, x10
        mov     x30, x9
        ret     x10
        .cfi_endproc
        .size   log_acquire_trampoline, . - log_acquire_trampoline

// The program keeps its mark for landing pads only if all of its objects have it: this one has them.
        .section .note.gnu.property, "a"
        .balign 8
        .long   4, 16, 5
        .asciz  "GNU"
        .long   0xc0000000, 4, 1, 0

        .section .note.GNU-stack, "", %progbits
