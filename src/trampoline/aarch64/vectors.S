// Calling handlers from C++, for AArch64: one of a list, and an exit handler in the middle of something.
#include "trampoline/aarch64/handlers.inc"

.macro FUNCTION name
        .globl  \name
        .hidden \name
        .type   \name, %function
        .p2align 4
\name:
        .cfi_startproc
        BTI_C
.endm

.macro END_FUNCTION name
        .cfi_endproc
        .size   \name, . - \name
.endm

        .text
        .hidden ct_imports, ct_personality_reference
        .globl  ct_call_handler_called, ct_call_handler_threw
        .globl  ct_call_exit_handler_called, ct_call_exit_handler_threw
        .hidden ct_call_handler_called, ct_call_handler_threw
        .hidden ct_call_exit_handler_called, ct_call_exit_handler_threw

// ct_call_exit_handler(ip, parent_ip, client, regs, data): calls the client's exit handler from the middle of
// something that knows nothing of vector registers; keeps all that may hold arguments or results. On the stack there is
// room for a ct_regs, of which only the width is used, so that SAVE_VECTORS finds its place.
FUNCTION ct_call_exit_handler
        .cfi_personality 0x9b, ct_personality_reference
        TAKE_STACK
        SAVE_VECTORS
        ldr     x16, [x2, #CT_CLIENT_EXIT]
        blr     x16
ct_call_exit_handler_called:
        RESTORE_VECTORS
        .cfi_remember_state
        LEAVE_STACK
        .cfi_def_cfa 31, 0
        .cfi_same_value 29
        .cfi_same_value 30
        ret
        .cfi_restore_state
ct_call_exit_handler_threw:
        CATCH   ct_call_exit_handler_called
END_FUNCTION ct_call_exit_handler

// ct_call_handler(ip, parent_ip, client, regs, data, handler): calls one handler of a list and returns what it returns,
// or 1 if it has thrown.
FUNCTION ct_call_handler
        .cfi_personality 0x9b, ct_personality_reference
        stp     x29, x30, [sp, #-16]!
        .cfi_def_cfa_offset 16
        .cfi_offset 29, -16
        .cfi_offset 30, -8
        mov     x29, sp
        blr     x5
ct_call_handler_called:
        .cfi_remember_state
        ldp     x29, x30, [sp], #16
        .cfi_def_cfa 31, 0
        .cfi_same_value 29
        .cfi_same_value 30
        ret
        .cfi_restore_state
ct_call_handler_threw:
        CATCH   ct_call_handler_called
END_FUNCTION ct_call_handler

// The entry handler of a site whose only client has CT_IPMODIFY, which it goes on to: only such a client pays for the
// question whether ct_regs_set_ip() is its to call.
FUNCTION ct_may_set_ip
        ldr     w9, [x3, #CT_REGS_FLAGS]
        orr     w9, w9, #CT_REGS_MAY_SET_IP
        str     w9, [x3, #CT_REGS_FLAGS]
        ldr     x16, [x2, #CT_CLIENT_ENTRY]
        br      x16
END_FUNCTION ct_may_set_ip

        .section .note.GNU-stack, "", %progbits
