// registers_check(State* set, State* inside, State* after, unsigned width)
//
// Sets every register and two stack arguments to the bytes of `set`, calls the hooked function registers_callee, which
// stores what it received to `inside` and returns what is in registers_result; what the caller then sees goes to `after`.
// width: 16, or the bytes of an SVE register if those and the predicates are in use.
//
// registers_body is the function behind its patchable entry, and may stand for it.
//
// State: 0 x0-x30 and sp, 256 fpcr, 272 stack arguments 8 * 2, 288 p0-15, 32 bytes each, 800 v0-31, 256 bytes each

#define kControl 256
#define kStack 272
#define kPredicates 288
#define kVectors 800

        .arch_extension sve
        .text

.macro pointer register, name
        adrp    \register, \name
        ldr     \register, [\register, :lo12:\name]
.endm

// All vector registers; x17 = State*. Clobbers x14 to x16.
.macro each_vector plain, scalable
        pointer x16, registers_width
        cmp     w16, #16
        add     x16, x17, #kVectors
        b.hi    1f
  .irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31
        \plain  q\n, [x16]
        add     x16, x16, #256
  .endr
        b       2f
1:
  .irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31
        \scalable z\n, [x16]
        add     x16, x16, #256
  .endr
        add     x16, x17, #kPredicates
  .irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15
        \scalable p\n, [x16]
        add     x16, x16, #32
  .endr
2:
.endm

// x17 = State*: x9 to x17 carry nothing.
.macro store_general
        stp     x0, x1, [x17]
        stp     x2, x3, [x17, #16]
        stp     x4, x5, [x17, #32]
        stp     x6, x7, [x17, #48]
        str     x8, [x17, #64]
        stp     x18, x19, [x17, #144]
        stp     x20, x21, [x17, #160]
        stp     x22, x23, [x17, #176]
        stp     x24, x25, [x17, #192]
        stp     x26, x27, [x17, #208]
        stp     x28, x29, [x17, #224]
        mov     x16, sp
        stp     x30, x16, [x17, #240]
        mrs     x16, fpcr
        str     x16, [x17, #kControl]
.endm

        .globl registers_check
        .type registers_check, %function
registers_check:
        .cfi_startproc
        stp     x29, x30, [sp, #-160]!
        .cfi_def_cfa_offset 160
        .cfi_offset x29, -160
        .cfi_offset x30, -152
        stp     x19, x20, [sp, #16]
        stp     x21, x22, [sp, #32]
        stp     x23, x24, [sp, #48]
        stp     x25, x26, [sp, #64]
        stp     x27, x28, [sp, #80]
        stp     d8, d9, [sp, #96]
        stp     d10, d11, [sp, #112]
        stp     d12, d13, [sp, #128]
        stp     d14, d15, [sp, #144]
        adrp    x9, registers_inside
        str     x1, [x9, :lo12:registers_inside]
        adrp    x9, registers_after
        str     x2, [x9, :lo12:registers_after]
        adrp    x9, registers_width
        str     x3, [x9, :lo12:registers_width]
        mrs     x9, fpcr
        adrp    x10, registers_saved_control
        str     x9, [x10, :lo12:registers_saved_control]
        mov     x17, x0
        each_vector ldr, ldr
        ldr     x16, [x17, #kControl]
        msr     fpcr, x16
        ldp     x15, x16, [x17, #kStack]
        stp     x15, x16, [sp, #-16]!
        .cfi_adjust_cfa_offset 16
        ldp     x0, x1, [x17]
        ldp     x2, x3, [x17, #16]
        ldp     x4, x5, [x17, #32]
        ldp     x6, x7, [x17, #48]
        ldp     x8, x9, [x17, #64]
        ldp     x10, x11, [x17, #80]
        ldp     x12, x13, [x17, #96]
        ldp     x14, x15, [x17, #112]
        ldp     x18, x19, [x17, #144]
        ldp     x20, x21, [x17, #160]
        ldp     x22, x23, [x17, #176]
        ldp     x24, x25, [x17, #192]
        ldp     x26, x27, [x17, #208]
        ldp     x28, x29, [x17, #224]
        bl      registers_callee
        add     sp, sp, #16
        .cfi_adjust_cfa_offset -16
        pointer x17, registers_after
        store_general
        each_vector str, str
        pointer x16, registers_saved_control
        msr     fpcr, x16
        ldp     x19, x20, [sp, #16]
        ldp     x21, x22, [sp, #32]
        ldp     x23, x24, [sp, #48]
        ldp     x25, x26, [sp, #64]
        ldp     x27, x28, [sp, #80]
        ldp     d8, d9, [sp, #96]
        ldp     d10, d11, [sp, #112]
        ldp     d12, d13, [sp, #128]
        ldp     d14, d15, [sp, #144]
        ldp     x29, x30, [sp], #160
        .cfi_def_cfa_offset 0
        .cfi_restore x29
        .cfi_restore x30
        ret
        .cfi_endproc
        .size registers_check, . - registers_check

// The hooked function: a sled as the compiler makes it for 4,2.
        .section __patchable_function_entries, "awo", %progbits, .text
        .balign 8
        .quad .Lcallee_pad
        .text
        .balign 8
.Lcallee_pad:
        nop
        nop
        .globl registers_callee
        .type registers_callee, %function
registers_callee:
        .cfi_startproc
        nop
        nop
        .globl registers_body
registers_body:
        hint    #34  // bti c: it is jumped to when it stands for the function
        pointer x17, registers_inside
        store_general
        ldp     x15, x16, [sp]
        stp     x15, x16, [x17, #kStack]
        each_vector str, str
        pointer x17, registers_result
        // Callee-saved: the lower halves of v8 to v15. Only results are loaded.
        add     x16, x17, #kVectors
        pointer x15, registers_width
        cmp     w15, #16
        b.hi    1f
  .irp n, 0,1,2,3
        ldr     q\n, [x16]
        add     x16, x16, #256
  .endr
        b       2f
1:
  .irp n, 0,1,2,3
        ldr     z\n, [x16]
        add     x16, x16, #256
  .endr
2:      ldp     x0, x1, [x17]
        ret
        .cfi_endproc
        .size registers_callee, . - registers_callee

        .bss
        .balign 16
        .globl registers_result
registers_inside: .skip 8
registers_after: .skip 8
registers_result: .skip 8
registers_width: .skip 8
registers_saved_control: .skip 8
        .section .note.GNU-stack, "", %progbits
