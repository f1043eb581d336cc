// The calls that a recorded call's cost is measured with (recorder/call_cost.h).

        .text
        .globl  ct_call_record, ct_do_nothing
        .hidden ct_call_record, ct_do_nothing
        .type   ct_call_record, @function
        .p2align 6
// void ct_call_record(const SiteRecord* record, uint64_t count): as a program does that calls a function whose site is on.
ct_call_record:
        .cfi_startproc
        pushq   %rbx
        .cfi_adjust_cfa_offset 8
        .cfi_rel_offset rbx, 0
        pushq   %rbp
        .cfi_adjust_cfa_offset 8
        .cfi_rel_offset rbp, 0
        subq    $8, %rsp
        .cfi_adjust_cfa_offset 8
        movq    %rdi, %rbx
        movq    %rsi, %rbp
1:      call    2f
        decq    %rbp
        jnz     1b
        addq    $8, %rsp
        .cfi_adjust_cfa_offset -8
        popq    %rbp
        .cfi_adjust_cfa_offset -8
        .cfi_restore rbp
        popq    %rbx
        .cfi_adjust_cfa_offset -8
        .cfi_restore rbx
        ret
        .cfi_endproc
        .size   ct_call_record, . - ct_call_record

        .type   ct_call_stub, @function
ct_call_stub:
        .cfi_startproc
2:      movq    %rbx, %r11
        jmp     *(%r11)
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
