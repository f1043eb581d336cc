// A program that is started with no open descriptor at all, or closes its standard ones first.
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "calls.h"

HOOKED static unsigned work(unsigned n) {
  CALLED();
  return n + 1;
}

int main(int argc, char** argv) {
  (void)argv;
  unsigned n = 0;
  if (argc == 1) {
    for (int i = 0; i < 3; ++i) close(i);
  }
  // The next descriptors are 0, 1 and 2: nobody else may have taken them.
  for (int i = 0; i < 3; ++i) {
    if (open("/dev/null", O_RDWR) != i) return 90 + i;
  }
  for (int i = 0; i < 100000; ++i) n = work(n);
  for (int i = 0; i < 3; ++i) {
    if (write(i, &n, sizeof n) != (ssize_t)sizeof n) return 80 + i;
  }
  return 6;
}
