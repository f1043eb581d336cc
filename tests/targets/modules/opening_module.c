// A module that loads another one in its constructor, by a bare name that only its own RUNPATH ($ORIGIN) can
// find.
#include <dlfcn.h>
#include <stddef.h>

#include "calls.h"

static void* inner;

HOOKED __attribute__((constructor)) static void opening_constructor(void) {
  CALLED();
  inner = dlopen("libmodule_in_subfolder.so", RTLD_NOW | RTLD_LOCAL);
}

HOOKED __attribute__((destructor)) static void closing_destructor(void) {
  CALLED();
  if (inner != NULL) dlclose(inner);
}

HOOKED int opening_work(int n) {
  CALLED();
  int (*work)(int) = NULL;
  if (inner == NULL) return -1;
  *(void**)&work = dlsym(inner, "module_work");
  return work == NULL ? -2 : work(n);
}
