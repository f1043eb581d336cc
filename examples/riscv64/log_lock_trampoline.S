// A trampoline for lock_acquire(), RISC-V.
//
//   in    t0 back into the function, ra the address that the function returns to, all else as its caller left it
//   out   to the address in t0, all else as it was; only t0 and t1 may be lost
//
// Vector registers are not saved: lock_acquire() takes no argument in one.
        .text
        .balign 4
        .globl  log_acquire_trampoline
        .hidden log_acquire
        .type   log_acquire_trampoline, @function
log_acquire_trampoline:
        .cfi_startproc
        .cfi_return_column t0
        addi    sp, sp, -128
        .cfi_def_cfa_offset 128
        sd      t0, 120(sp)
        .cfi_offset t0, -8
        sd      ra, 112(sp)
        .cfi_offset ra, -16
        sd      a0, 0(sp)
        sd      a1, 8(sp)
        sd      a2, 16(sp)
        sd      a3, 24(sp)
        sd      a4, 32(sp)
        sd      a5, 40(sp)
        sd      a6, 48(sp)
        sd      a7, 56(sp)
        sd      t2, 64(sp)
        sd      t3, 72(sp)
        sd      t4, 80(sp)
        sd      t5, 88(sp)
        sd      t6, 96(sp)
        mv      a1, ra
        call    log_acquire
        ld      a0, 0(sp)
        ld      a1, 8(sp)
        ld      a2, 16(sp)
        ld      a3, 24(sp)
        ld      a4, 32(sp)
        ld      a5, 40(sp)
        ld      a6, 48(sp)
        ld      a7, 56(sp)
        ld      t2, 64(sp)
        ld      t3, 72(sp)
        ld      t4, 80(sp)
        ld      t5, 88(sp)
        ld      t6, 96(sp)
        ld      ra, 112(sp)
        .cfi_restore ra
        ld      t0, 120(sp)
        .cfi_restore t0
        addi    sp, sp, 128
        .cfi_def_cfa_offset 0
        jr      t0
        .cfi_endproc
        .size   log_acquire_trampoline, . - log_acquire_trampoline

        .section .note.GNU-stack, "", @progbits
