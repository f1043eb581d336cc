// The calls that a recorded call's cost is measured with (recorder/call_cost.h).

        .text
        .globl  ct_call_record, ct_do_nothing
        .hidden ct_call_record, ct_do_nothing
        .type   ct_call_record, %function
        .p2align 6
// void ct_call_record(const SiteRecord* record, uint64_t count): as a program does that calls a function whose site is on.
ct_call_record:
        .cfi_startproc
        stp     x29, x30, [sp, #-32]!
        .cfi_adjust_cfa_offset 32
        .cfi_rel_offset x29, 0
        .cfi_rel_offset x30, 8
        mov     x29, sp
        stp     x19, x20, [sp, #16]
        .cfi_rel_offset x19, 16
        .cfi_rel_offset x20, 24
        mov     x19, x0
        mov     x20, x1
1:      bl      ct_call_stub
        subs    x20, x20, #1
        b.ne    1b
        ldp     x19, x20, [sp, #16]
        ldp     x29, x30, [sp], #32
        .cfi_adjust_cfa_offset -32
        .cfi_restore x29
        .cfi_restore x30
        .cfi_restore x19
        .cfi_restore x20
        ret
        .cfi_endproc
        .size   ct_call_record, . - ct_call_record

        .type   ct_call_stub, %function
ct_call_stub:
        .cfi_startproc
        mov     x17, x19
        ldr     x16, [x17]
        br      x16
        .cfi_endproc
        .size   ct_call_stub, . - ct_call_stub

        .type   ct_do_nothing, %function
        .p2align 4
ct_do_nothing:
        .cfi_startproc
        hint    #34  // bti c
        ret
        .cfi_endproc
        .size   ct_do_nothing, . - ct_do_nothing

        .section .note.GNU-stack, "", %progbits
