// A handler in a trampoline's place: counts the call and goes on into the body. %r11 has the record.
#include "trampoline/layout.h"
  .text
  .globl counting_handler
  .type counting_handler, @function
counting_handler:
  lock incq counted_calls(%rip)
  jmp *CT_RECORD_TARGET(%r11)
  .size counting_handler, .-counting_handler
  .section .note.GNU-stack,"",@progbits
