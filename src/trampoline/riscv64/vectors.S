// Calling handlers from C++, for RISC-V: one of a list, and an exit handler in the middle of something.
#include "trampoline/riscv64/handlers.inc"

.macro FUNCTION name
        .globl  \name
        .hidden \name
        .type   \name, @function
        .p2align 4
\name:
        .cfi_startproc
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
// something that knows nothing of vector registers; keeps all that may hold arguments or results.
FUNCTION ct_call_exit_handler
        .cfi_personality 0x9b, ct_personality_reference
        TAKE_STACK CT_VECTORS_BYTES + 16
        SAVE_VECTORS
        ld      t1, CT_CLIENT_EXIT(a2)
        jalr    t1
ct_call_exit_handler_called:
        RESTORE_VECTORS
        .cfi_remember_state
        GIVE_STACK CT_VECTORS_BYTES + 16
        ret
        .cfi_restore_state
ct_call_exit_handler_threw:
        CATCH   ct_call_exit_handler_called
END_FUNCTION ct_call_exit_handler

// ct_call_handler(ip, parent_ip, client, regs, data, handler): calls one handler of a list and returns what it returns,
// or 1 if it has thrown.
FUNCTION ct_call_handler
        .cfi_personality 0x9b, ct_personality_reference
        TAKE_STACK 16
        jalr    a5
ct_call_handler_called:
        .cfi_remember_state
        GIVE_STACK 16
        ret
        .cfi_restore_state
ct_call_handler_threw:
        CATCH   ct_call_handler_called
END_FUNCTION ct_call_handler

// The entry handler of a site whose only client has CT_IPMODIFY, which it goes on to: only such a client pays for the
// question whether ct_regs_set_ip() is its to call.
FUNCTION ct_may_set_ip
        lw      t1, CT_REGS_FLAGS(a3)
        ori     t1, t1, CT_REGS_MAY_SET_IP
        sw      t1, CT_REGS_FLAGS(a3)
        ld      t1, CT_CLIENT_ENTRY(a2)
        jr      t1
END_FUNCTION ct_may_set_ip

        .section .note.GNU-stack, "", @progbits
