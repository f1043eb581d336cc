// A handler in a trampoline's place: counts the call and goes on into the body. t0 has the record.
#include "trampoline/layout.h"
  .text
  .globl counting_handler
  .type counting_handler, @function
counting_handler:
  lla t1, counted_calls
  li t2, 1
  amoadd.d zero, t2, (t1)
  ld t1, CT_RECORD_TARGET(t0)
  jr t1
  .size counting_handler, .-counting_handler
  .section .note.GNU-stack,"",@progbits
