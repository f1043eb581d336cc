// The calls that a recorded call's cost is measured with (recorder/call_cost.h).

        .text
        .globl  ct_call_record, ct_do_nothing
        .hidden ct_call_record, ct_do_nothing
        .type   ct_call_record, @function
        .p2align 6
// void ct_call_record(const SiteRecord* record, uint64_t count): as a program does that calls a function whose site is on.
ct_call_record:
        .cfi_startproc
        addi    sp, sp, -32
        .cfi_def_cfa_offset 32
        sd      ra, 24(sp)
        .cfi_offset ra, -8
        sd      s2, 16(sp)
        .cfi_offset s2, -16
        sd      s3, 8(sp)
        .cfi_offset s3, -24
        mv      s2, a0
        mv      s3, a1
1:      call    ct_call_stub
        addi    s3, s3, -1
        bnez    s3, 1b
        ld      s3, 8(sp)
        ld      s2, 16(sp)
        ld      ra, 24(sp)
        addi    sp, sp, 32
        .cfi_def_cfa_offset 0
        .cfi_restore ra
        .cfi_restore s2
        .cfi_restore s3
        ret
        .cfi_endproc
        .size   ct_call_record, . - ct_call_record

        .type   ct_call_stub, @function
ct_call_stub:
        .cfi_startproc
        mv      t0, s2
        ld      t1, 0(t0)
        jr      t1
        .cfi_endproc
        .size   ct_call_stub, . - ct_call_stub

        .type   ct_do_nothing, @function
        .p2align 4
ct_do_nothing:
        .cfi_startproc
        ret
        .cfi_endproc
        .size   ct_do_nothing, . - ct_do_nothing

        .section .note.GNU-stack, "", @progbits
