// As many children one after the other as the argument says, each of a few calls.
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "calls.h"

enum { kCalls = 10 };

HOOKED static int work(int n) {
  CALLED();
  return n * 3 + 1;
}

HOOKED int main(int argc, char** argv) {
  CALLED();
  const int children = argc > 1 ? atoi(argv[1]) : 0;
  for (int i = 0; i < children; ++i) {
    const pid_t child = fork();
    if (child < 0) abort();
    if (child == 0) {
      for (int n = 0; n < kCalls; ++n) work(n);
      _exit(0);
    }
    if (waitpid(child, NULL, 0) != child) abort();
  }
  return 0;
}
