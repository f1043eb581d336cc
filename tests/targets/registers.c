// Every register of the contract, poisoned before a recorded call and compared in it and after it.
#include <stdio.h>

#include "registers_check.h"

enum { kRounds = 3000 };

int main(void) {
  const unsigned wrong = registers_wrong_at_all_widths(kRounds, kKeepsAllVectors);
  printf("wrong %u\n", wrong);
  return wrong == 0 ? 0 : 1;
}
