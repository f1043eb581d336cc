// Loads a module, calls it and ends, as soon as it is told to by a line on standard input.
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>

#include "calls.h"

HOOKED static int in_program(int n) {
  CALLED();
  return n + 1;
}

int main(void) {
  in_program(1);
  puts("ready");
  fflush(stdout);
  if (getchar() == EOF) return 1;
  void* module = dlopen("libmodule_a.so", RTLD_NOW);
  if (module == NULL) abort();
  int (*work)(int);
  *(void**)&work = dlsym(module, "module_work");
  if (work == NULL) abort();
  return in_program(work(3)) == 7 ? 0 : 1;
}
