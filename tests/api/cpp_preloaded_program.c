#include "check.h"

HOOKED void counted_early(void) { __asm__ volatile("" ::: "memory"); }
__attribute__((noinline)) static void counted_local(void) { __asm__ volatile("" ::: "memory"); }

__attribute__((constructor)) static void early(void) { counted_early(); }
__attribute__((destructor)) static void late(void) { counted_local(); }

int main(void) {
  for (int i = 0; i < 5; ++i) counted_local();
  return 0;
}
