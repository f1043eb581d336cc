// Handlers that change everything that a called function may change.
//
// Register contract: as the ABI has it for functions; nothing is kept that need not be.

        .arch_extension sve
        .text

// w0 = 0: an entry handler wants its exit.
.macro dirty_general_registers
  .irp n, 1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18
        mov     x\n, #-0x1233
  .endr
        cmp     x1, #1
        mov     w0, #0
.endm

        .globl dirty_general
        .type dirty_general, %function
dirty_general:
        .cfi_startproc
        hint    #34  // bti c
        dirty_general_registers
        ret
        .cfi_endproc
        .size dirty_general, . - dirty_general

// All of the vector registers but the lower halves of v8 to v15; with SVE in use also the predicates.
        .globl dirty_everything
        .type dirty_everything, %function
dirty_everything:
        .cfi_startproc
        hint    #34  // bti c
        adrp    x9, dirty_width
        ldr     w9, [x9, :lo12:dirty_width]
        cmp     w9, #16
        b.hi    1f
  .irp n, 0,1,2,3,4,5,6,7,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31
        movi    v\n\().16b, #0xa5
  .endr
  .irp n, 8,9,10,11,12,13,14,15
        ins     v\n\().d[1], x9
  .endr
        b       2f
1:
  .irp n, 0,1,2,3,4,5,6,7,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31
        dup     z\n\().b, #-91
  .endr
  .irp n, 8,9,10,11,12,13,14,15
        fmov    x9, d\n
        dup     z\n\().b, #-91
        ins     v\n\().d[0], x9  // and the rest is zero
  .endr
  .irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15
        pfalse  p\n\().b
  .endr
2:
        dirty_general_registers
        ret
        .cfi_endproc
        .size dirty_everything, . - dirty_everything

// A direct call's trampoline: x10 to x17 and flags are all that it may lose.
        .globl dirty_direct
        .type dirty_direct, %function
dirty_direct:
        .cfi_startproc
        hint    #34  // bti c
  .irp n, 11,12,13,14,15,16,17
        mov     x\n, #-0x1233
  .endr
        cmp     x11, #1
        mov     x10, x30
        mov     x30, x9
        ret     x10
        .cfi_endproc
        .size dirty_direct, . - dirty_direct

        .bss
        .globl dirty_width
        .balign 4
dirty_width: .skip 4
        .section .note.GNU-stack, "", %progbits
