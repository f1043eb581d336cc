// Functions that call another one, and whose unwind tables are wrong or missing. x86-64.
#pragma once

extern "C" {
void call_without_table(void (*function)());
void call_with_frame_nowhere(void (*function)());
void call_in_a_circle(void (*function)());
void call_with_return_gone(void (*function)());
}

#define CALLING_FUNCTION(name, begin, table, end)                                         \
  ".globl " name "\n.type " name ", @function\n" name ":\n" begin "subq $8, %rsp\n" table \
  "call *%rdi\n"                                                                          \
  "addq $8, %rsp\nret\n" end ".size " name ", . - " name "\n"

__asm__(".text\n" CALLING_FUNCTION("call_without_table", "", "", "")
        // The frame's address is what an argument register holds: nothing that is kept.
        CALLING_FUNCTION("call_with_frame_nowhere", ".cfi_startproc\n", ".cfi_def_cfa %rsi, 8\n",
                         ".cfi_endproc\n")
        // Its caller is itself, with the same stack pointer.
        CALLING_FUNCTION("call_in_a_circle", ".cfi_startproc\n",
                         ".cfi_def_cfa %rsp, 0\n.cfi_offset %rip, -8\n", ".cfi_endproc\n")
        // The return address lies where there is no memory: at 16.
        CALLING_FUNCTION("call_with_return_gone", ".cfi_startproc\n",
                         ".cfi_def_cfa %rsp, 16\n.cfi_escape 0x10, 16, 1, 0x40\n", ".cfi_endproc\n"));
