// What this library's own copy of the trampolines needs of it (trampoline/code.h: Imports).
#include "trampoline/layout.h"

.macro NEEDS offset, name
  .if . - ct_imports != \offset
        .error "\name is not where the trampolines look for it"
  .endif
        .hidden \name
        .quad   \name
.endm

        .data
        .globl  ct_imports
        .hidden ct_imports
        .type   ct_imports, @object
        .p2align 7  // in one page: trampolines take an address of it for several fields
ct_imports:
        .quad   0  // thread: no assembler can write it down, so code() does
        NEEDS   CT_IMPORT_EPOCH, ct_epoch
        NEEDS   CT_IMPORT_FRAME_SLOW, ct_frame_slow
        NEEDS   CT_IMPORT_STACK_SLOW, ct_stack_slow
        NEEDS   CT_IMPORT_EXIT_SLOW, ct_exit_slow
        NEEDS   CT_IMPORT_EVENT_SLOW, ct_event_slow
        NEEDS   CT_IMPORT_ENTRY_SLOW, ct_entry_slow
        NEEDS   CT_IMPORT_EXIT_ENTER_SLOW, ct_exit_enter_slow
        NEEDS   CT_IMPORT_PARENT_SLOW, ct_parent_slow
        NEEDS   CT_IMPORT_TAIL_CALL, ct_tail_call
        NEEDS   CT_IMPORT_NO_FRAME, ct_no_frame
        NEEDS   CT_IMPORT_HANDLER_THREW, ct_handler_threw
        NEEDS   CT_IMPORT_BLOCK_SLOW, ct_block_slow
        .quad   0  // vector_features: detect_vectors()
  .if . - ct_imports != CT_IMPORT_BYTES || CT_IMPORT_BYTES > 128
        .error "CT_IMPORT_BYTES is wrong"
  .endif
        .size   ct_imports, . - ct_imports

        // Unwind tables of position-independent code name the personality through a pointer.
        .globl  ct_personality_reference
        .hidden ct_personality_reference, ct_personality
        .p2align 3
ct_personality_reference:
        .quad   ct_personality

        .section .note.GNU-stack, "", @progbits
