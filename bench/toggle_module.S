// A module of SITES functions, 256 bytes each (100,000 of them are 25 MB), made by the assembler because a compiler
// would take minutes. LAYOUT is how their entries look:
//   1  -fpatchable-function-entry=18,16: toggled by one byte, through the pad
//   2  -fpatchable-function-entry=5, five one-byte NOPs: toggled by one byte, through the mirror
//   3  a 3-byte NOP behind a pad, as clang makes it for 19,16: toggled by the int3 protocol
// The functions are named toggle_0, toggle_1 and so on; toggle_functions is the first one's entry.
#define STRIDE 256

        .text
        .globl  toggle_functions
        .p2align 8
#if LAYOUT == 2
        .set    pad, 0
#else
        .set    pad, 16
#endif
        .set    toggle_functions, base + pad
.macro FUNCTION
        .p2align 8, 0x90
1:
        .fill   pad, 1, 0x90
        .type   toggle_\@, @function
toggle_\@:
        .cfi_startproc
#if LAYOUT == 1
        .byte   0x90, 0x90
#elif LAYOUT == 2
        .byte   0x90, 0x90, 0x90, 0x90, 0x90
#else
        .byte   0x0f, 0x1f, 0x00
#endif
        leaq    1(%rdi), %rax
        ret
        .cfi_endproc
        .size   toggle_\@, . - toggle_\@
        .pushsection __patchable_function_entries, "awo", @progbits, .text
        .quad   1b
        .popsection
.endm

base:
.rept SITES
        FUNCTION
.endr
        .p2align 8
        .section .note.GNU-stack, "", @progbits
