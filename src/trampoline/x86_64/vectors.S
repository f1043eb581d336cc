// Saving what handlers may use and the program still needs: vector registers at the width in use, x87 results.
//
// Register contract of all of these
//   in         r8 = the area of CT_VECTORS_BYTES: eight slots of CT_VECTOR_SLOT bytes, then two of 16 for x87
//   save       returns eax = the width in bytes | x87 registers << 16, which restore takes in eax
//   lost       rax rcx rdx, flags
//
// The width matters in both directions: less would lose what the program has there, and more would mark registers as
// used that are not, which slows the processor down until the next vzeroupper. XGETBV(1) tells what is in use (Intel
// SDM volume 1, section 13.6). Where there is no such instruction, or it is slow (a callback cost 7 ns more on an AMD EPYC, family 25), the
// contents tell: upper parts that are all zero need not be kept, clearing them is enough. detect_vectors() chooses. A
// handler may leave upper parts in use, so they are cleared before what the program had is put back; registers 8 and up
// carry nothing at a call.
#include "trampoline/layout.h"
#include "trampoline/x86_64/native_layout.h"

#define X87_IN_USE 1
#define YMM_IN_USE 4
#define ZMM_IN_USE 0x40
#define ASK_XGETBV1 0x100
#define LOOK_AT_CONTENTS 0x200

#define X87_AREA (8 * CT_VECTOR_SLOT)

.macro MOVE_OUT instruction, prefix, count
  .irp n, 0, 1, 2, 3, 4, 5, 6, 7
    .if \n < \count
        \instruction %\prefix\n, \n * CT_VECTOR_SLOT(%r8)
    .endif
  .endr
.endm

.macro MOVE_IN instruction, prefix, count
  .irp n, 0, 1, 2, 3, 4, 5, 6, 7
    .if \n < \count
        \instruction \n * CT_VECTOR_SLOT(%r8), %\prefix\n
    .endif
  .endr
.endm

// eax = what is in use, or what may be, with LOOK_AT_CONTENTS. edx is lost.
.macro GET_IN_USE
        movl    IMPORT(VECTOR_FEATURES), %eax
        testl   $ASK_XGETBV1, %eax
        jz      7f
        movl    $1, %ecx
        xgetbv
7:
.endm

// Jumps to 5f if a 512-bit register has something in its upper half, to 4f if a 256-bit one has; falls through otherwise,
// with all upper parts cleared. eax = which there are.
.macro LOOK count
        testl   $ZMM_IN_USE, %eax
        jz      1f
        vpord   %zmm0, %zmm1, %zmm8
  .if \count == 8
        vpord   %zmm2, %zmm3, %zmm9
        vpord   %zmm4, %zmm5, %zmm10
        vpord   %zmm6, %zmm7, %zmm11
        vpord   %zmm9, %zmm8, %zmm8
        vpord   %zmm11, %zmm10, %zmm10
        vpord   %zmm10, %zmm8, %zmm8
  .endif
        vextracti64x4 $1, %zmm8, %ymm9
        vptest  %ymm9, %ymm9
        jnz     5f
        jmp     2f
1:      vorps   %ymm0, %ymm1, %ymm8
  .if \count == 8
        vorps   %ymm2, %ymm3, %ymm9
        vorps   %ymm4, %ymm5, %ymm10
        vorps   %ymm6, %ymm7, %ymm11
        vorps   %ymm9, %ymm8, %ymm8
        vorps   %ymm11, %ymm10, %ymm10
        vorps   %ymm10, %ymm8, %ymm8
  .endif
2:      vextractf128 $1, %ymm8, %xmm9
        vptest  %xmm9, %xmm9
        jnz     4f
        vzeroupper
.endm

// Vector registers 0 to count-1, for eax = what is in use. Returns eax = the width.
.macro SAVE_WIDE count
        testl   $LOOK_AT_CONTENTS, %eax
        jz      3f
        LOOK    \count
        jmp     8f
3:      testl   $ZMM_IN_USE, %eax
        jnz     5f
        testl   $YMM_IN_USE, %eax
        jnz     4f
8:      MOVE_OUT movups, xmm, \count
        movl    $16, %eax
        jmp     6f
4:      MOVE_OUT vmovups, ymm, \count
        movl    $32, %eax
        jmp     6f
5:      MOVE_OUT vmovups, zmm, \count
        movl    $64, %eax
6:
.endm

.macro RESTORE_WIDE count
        cmpw    $32, %ax
        ja      5f
        je      4f
        testl   $YMM_IN_USE, IMPORT(VECTOR_FEATURES)
        jz      3f
        vzeroupper
3:      MOVE_IN movups, xmm, \count
        jmp     6f
4:      vzeroupper
        MOVE_IN vmovups, ymm, \count
        jmp     6f
5:      MOVE_IN vmovups, zmm, \count
6:
.endm

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

FUNCTION ct_save_vectors
        GET_IN_USE
        SAVE_WIDE 8
        ret
END_FUNCTION ct_save_vectors

FUNCTION ct_restore_vectors
        RESTORE_WIDE 8
        ret
END_FUNCTION ct_restore_vectors

// ZF = st0 is empty. The stack's top does not tell: it may be anywhere when all is empty. Clobbers ax.
.macro IS_X87_EMPTY
        fxam
        fnstsw  %ax
        andl    $0x4500, %eax   // C3 C2 C0
        cmpl    $0x4100, %eax
.endm

// The result of a function: xmm0-1, st0-1. The x87 stack holds nothing else at a return.
FUNCTION ct_save_results
        GET_IN_USE
        testl   $X87_IN_USE, %eax
        jnz     .Lx87
.Lx87_saved:
        SAVE_WIDE 2
        ret
.Lx87:
        movl    %eax, %ecx
        IS_X87_EMPTY
        je      .Lx87_empty
        fstpt   X87_AREA(%r8)
        IS_X87_EMPTY
        je      .Lx87_one
        fstpt   X87_AREA+16(%r8)
        movl    %ecx, %eax
        SAVE_WIDE 2
        orl     $0x20000, %eax
        ret
.Lx87_one:
        movl    %ecx, %eax
        SAVE_WIDE 2
        orl     $0x10000, %eax
        ret
.Lx87_empty:
        movl    %ecx, %eax
        jmp     .Lx87_saved
END_FUNCTION ct_save_results

FUNCTION ct_restore_results
        testl   $0xf0000, %eax
        jz      .Lx87_restored
        testl   $0x20000, %eax
        jz      .Lx87_restore_one
        fldt    X87_AREA+16(%r8)
.Lx87_restore_one:
        fldt    X87_AREA(%r8)
.Lx87_restored:
        RESTORE_WIDE 2
        ret
END_FUNCTION ct_restore_results

// ct_call_exit_handler(ip, parent_ip, client, regs, data): calls the client's exit handler from the middle of
// something that knows nothing of vector registers; keeps all that may hold arguments or results.
FUNCTION ct_call_exit_handler
        .cfi_personality 0x9b, ct_personality_reference
        pushq   %rbp
        .cfi_def_cfa_offset 16
        .cfi_offset 6, -16
        movq    %rsp, %rbp
        .cfi_def_cfa_register 6
        pushq   %rbx
        pushq   %r12
        .cfi_offset 3, -24
        .cfi_offset 12, -32
        subq    $CT_VECTORS_BYTES, %rsp
        andq    $-16, %rsp
        movq    %r8, %rbx
        pushq   %rdx
        pushq   %rcx
        leaq    16(%rsp), %r8
        call    ct_save_results
        movl    %eax, %r12d
        call    ct_save_vectors
        popq    %rcx
        popq    %rdx
        movq    %rbx, %r8
        call    *CT_CLIENT_EXIT(%rdx)
ct_call_exit_handler_called:
        movq    %rsp, %r8
        movl    %r12d, %eax
        call    ct_restore_results
        movzwl  %r12w, %eax
        call    ct_restore_vectors
        leaq    -16(%rbp), %rsp
        popq    %r12
        popq    %rbx
        popq    %rbp
        .cfi_remember_state
        .cfi_def_cfa 7, 8
        ret
        .cfi_restore_state
ct_call_exit_handler_threw:
        movq    %rax, %rdi
        call    *IMPORT(HANDLER_THREW)
        jmp     ct_call_exit_handler_called
END_FUNCTION ct_call_exit_handler

// ct_call_handler(ip, parent_ip, client, regs, data, handler): calls one handler of a list and returns what it returns,
// or 1 if it has thrown.
FUNCTION ct_call_handler
        .cfi_personality 0x9b, ct_personality_reference
        subq    $8, %rsp
        .cfi_def_cfa_offset 16
        call    *%r9
ct_call_handler_called:
        addq    $8, %rsp
        .cfi_remember_state
        .cfi_def_cfa_offset 8
        ret
        .cfi_restore_state
ct_call_handler_threw:
        movq    %rax, %rdi
        call    *IMPORT(HANDLER_THREW)
        movl    $1, %eax
        jmp     ct_call_handler_called
END_FUNCTION ct_call_handler

// The entry handler of a site whose only client has CT_IPMODIFY, which it goes on to: only such a client pays for the
// question whether ct_regs_set_ip() is its to call.
FUNCTION ct_may_set_ip
        orl     $CT_REGS_MAY_SET_IP, CT_REGS_FLAGS(%rcx)
        jmp     *CT_CLIENT_ENTRY(%rdx)
END_FUNCTION ct_may_set_ip

// Calls the function in rax, with its arguments where they are, on an aligned stack.
FUNCTION ct_call_aligned
        pushq   %rbp
        .cfi_def_cfa_offset 16
        .cfi_offset 6, -16
        movq    %rsp, %rbp
        .cfi_def_cfa_register 6
        andq    $-16, %rsp
        call    *%rax
        leave
        .cfi_def_cfa 7, 8
        ret
END_FUNCTION ct_call_aligned

        .section .note.GNU-stack, "", @progbits
