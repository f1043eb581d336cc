// A library whose constructor waits for standard input.
#include <poll.h>
#include <stddef.h>

__attribute__((constructor)) static void wait(void) {
  struct pollfd input = {.fd = 0, .events = POLLIN};
  while (poll(&input, 1, -1) <= 0) continue;
}
