// Calls before main: a resolver of an indirect function, preinit_array, constructors in their order.
#include <stdio.h>

#include "calls.h"

static int resolved;
static int order;
static int seen[4];

HOOKED static int leaf(int n) {
  CALLED();
  return n + 1;
}

static int chosen(int n) {
  CALLED();
  return n * 2;
}

// Runs while the program is being relocated: it may call nothing, so it cannot count itself here.
HOOKED static int (*resolve_indirect(void))(int) {
  ++resolved;
  return chosen;
}

int indirect(int n) __attribute__((ifunc("resolve_indirect")));

HOOKED static void note(int what) {
  CALLED();
  if (order < 4) seen[order] = what;
  ++order;
}

HOOKED static void before_all(void) {
  CALLED();
  note(leaf(0));
}

__attribute__((section(".preinit_array"), used)) static void (*const preinit)(void) = before_all;

HOOKED __attribute__((constructor(101))) static void first_constructor(void) {
  CALLED();
  note(leaf(1));
}

HOOKED __attribute__((constructor(102))) static void second_constructor(void) {
  CALLED();
  note(leaf(2));
}

HOOKED __attribute__((constructor)) static void last_constructor(void) {
  CALLED();
  note(indirect(2));
}

int main(void) {
  for (int i = 0; i < 4; ++i) printf("%d ", seen[i]);
  printf("of %d\n", order);
  printf("indirect %d, resolver ran: %d\n", indirect(21), resolved > 0);
  return 0;
}
