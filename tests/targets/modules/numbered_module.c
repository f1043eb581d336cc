// Built twice, with different MODULE_NUMBER: two modules with the same function names, constructors and
// destructors.
#include "calls.h"

HOOKED static int module_leaf(int n) {
  CALLED();
  return n + MODULE_NUMBER;
}

HOOKED int module_work(int n) {
  CALLED();
  int sum = 0;
  for (int i = 0; i < n; ++i) sum += module_leaf(i);
  return sum;
}

HOOKED __attribute__((constructor)) static void module_constructor(void) {
  CALLED();
  module_leaf(1);
}

HOOKED __attribute__((destructor)) static void module_destructor(void) {
  CALLED();
  module_leaf(2);
}
