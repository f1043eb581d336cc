// The functions that unwinding_steps.c steps through. Each is HOOKED by hand, so that it is the same in all variants.

        .text

// A function with the entry that -fpatchable-function-entry=18,16 makes; what is behind that is name_body.
.macro FUNCTION name
        .section __patchable_function_entries, "awo", @progbits, .text
        .balign 8
        .quad .Lpad_\name
        .text
        .balign 16
.Lpad_\name:
        .fill 16, 1, 0x90
        .globl \name, \name\()_body
        .type \name, @function
        .cfi_startproc
\name:
        nop
        nop
\name\()_body:
.endm

.macro END_FUNCTION name
        .cfi_endproc
        .size \name, . - \name
.endm

// Calls, is cut off below by what a longjmp does, calls again, and ends by a tail call.
FUNCTION steps_target
        pushq %r12
        .cfi_adjust_cfa_offset 8
        .cfi_rel_offset r12, 0
        pushq %r13
        .cfi_adjust_cfa_offset 8
        .cfi_rel_offset r13, 0
        subq $8, %rsp
        .cfi_adjust_cfa_offset 8
        call steps_inner
        movq %rsp, %r12
        movq %rbx, %r13
        call steps_leaver
        .globl steps_back
steps_back:
        call steps_inner
        addq $8, %rsp
        .cfi_adjust_cfa_offset -8
        popq %r13
        .cfi_adjust_cfa_offset -8
        .cfi_restore r13
        popq %r12
        .cfi_adjust_cfa_offset -8
        .cfi_restore r12
        jmp steps_last
END_FUNCTION steps_target

FUNCTION steps_inner
        ret
END_FUNCTION steps_inner

FUNCTION steps_leaver
        movq %r13, %rbx
        .cfi_undefined rip      // there is no way back, and no caller from here on
        movq %r12, %rsp
        jmp steps_back
END_FUNCTION steps_leaver

FUNCTION steps_last
        ret
END_FUNCTION steps_last

// A direct call's trampoline, with a call of its own.
        .globl steps_direct
        .type steps_direct, @function
steps_direct:
        .cfi_startproc
        subq $8, %rsp
        .cfi_adjust_cfa_offset 8
        call 1f
        addq $8, %rsp
        .cfi_adjust_cfa_offset -8
        ret
        .cfi_endproc
        .size steps_direct, . - steps_direct
        .type steps_direct_leaf, @function
steps_direct_leaf:
        .cfi_startproc
1:      ret
        .cfi_endproc
        .size steps_direct_leaf, . - steps_direct_leaf

// steps_call(function, const uint64_t callee_saved[6]): sets rbx rbp r12-r15 and calls the function, with a trap after
// each instruction from its first to the one that returns to steps_returned.
#define kTrapFlag 0x100

        .globl steps_call, steps_returned
        .type steps_call, @function
steps_call:
        .cfi_startproc
  .irp register, rbx, rbp, r12, r13, r14, r15
        pushq %\register
        .cfi_adjust_cfa_offset 8
        .cfi_rel_offset \register, 0
  .endr
        movq 0(%rsi), %rbx
        movq 8(%rsi), %rbp
        movq 16(%rsi), %r12
        movq 24(%rsi), %r13
        movq 32(%rsi), %r14
        movq 40(%rsi), %r15
        subq $8, %rsp
        .cfi_adjust_cfa_offset 8
        pushfq
        orl $kTrapFlag, (%rsp)
        popfq
        call *%rdi
steps_returned:
        pushfq
        .cfi_adjust_cfa_offset 8
        andl $~kTrapFlag, (%rsp)
        popfq
        .cfi_adjust_cfa_offset -8
        addq $8, %rsp
        .cfi_adjust_cfa_offset -8
  .irp register, r15, r14, r13, r12, rbp, rbx
        popq %\register
        .cfi_adjust_cfa_offset -8
        .cfi_restore \register
  .endr
        ret
        .cfi_endproc
        .size steps_call, . - steps_call

        .section .note.GNU-stack, "", @progbits
