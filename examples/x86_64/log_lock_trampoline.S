// A trampoline for lock_acquire(), x86-64.
//
//   in    (%rsp) back into the function, 8(%rsp) the address that the function returns to, all else as its caller left it
//   out   everything as it was; only r11 and the flags may be lost
//
// Vector registers are not saved: lock_acquire() takes no argument in one.
        .text
        .globl  log_acquire_trampoline
        .hidden log_acquire
        .type   log_acquire_trampoline, @function
log_acquire_trampoline:
        .cfi_startproc
        endbr64
.irp    register, rdi, rsi, rdx, rcx, r8, r9, rax, r10
        pushq   %\register
        .cfi_adjust_cfa_offset 8
.endr
        movq    72(%rsp), %rsi  // behind 64 bytes of registers and the way back
        call    log_acquire     // %rsp is a multiple of 16 here
.irp    register, r10, rax, r9, r8, rcx, rdx, rsi, rdi
        popq    %\register
        .cfi_adjust_cfa_offset -8
.endr
        ret
        .cfi_endproc
        .size   log_acquire_trampoline, . - log_acquire_trampoline

        .section .note.GNU-stack, "", @progbits
