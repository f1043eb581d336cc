// A handler in a trampoline's place: counts the call and goes on into the body. x17 has the record.
#include "trampoline/layout.h"
  .text
  .globl counting_handler
  .type counting_handler, %function
counting_handler:
  hint #34  // bti c
  adrp x9, counted_calls
  add x9, x9, :lo12:counted_calls
1:
  ldaxr x10, [x9]
  add x10, x10, #1
  stlxr w11, x10, [x9]
  cbnz w11, 1b
  ldr x16, [x17, #CT_RECORD_TARGET]
  br x16
  .size counting_handler, .-counting_handler
  .section .note.GNU-stack,"",%progbits
