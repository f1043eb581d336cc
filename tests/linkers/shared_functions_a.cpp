#include <cstdio>

#include "shared_functions.h"

// The file's first function is one that nobody calls.
HOOKED int unused_first_function(int n) {
  CALLED();
  return n + 2;
}

// At -O2 what leads to the exception is a part of its own in .text.unlikely.
HOOKED static int file_local(int n) {
  CALLED();
  if (n > 1000) throw n;
  return n + 3;
}

int main() {
  int sum = 0;
  for (int i = 0; i < 50; ++i) sum += use_everything(i) + file_local(i) + in_the_other_file(i);
  try {
    sum += file_local(2000);
  } catch (int n) {
    sum += n;
  }
  std::printf("%d\n", sum);
}
