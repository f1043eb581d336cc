#include "shared_functions.h"

// An inline function first: which copy of it stays decides about nothing else.
HOOKED inline int inline_first(int n) {
  CALLED();
  return unused_inline_function(n) + 1;
}

HOOKED int unused_function(int n) {
  CALLED();
  return inline_first(n);
}

HOOKED static int file_local(int n) {
  CALLED();
  return n + 4;
}

Shape* make_square() { return new Square; }

int in_the_other_file(int n) {
  CALLED();
  return use_everything(n) + file_local(n);
}
