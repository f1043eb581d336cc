// dlmopen: the same module in name spaces of its own, beside the one in the program's.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>

#include "calls.h"

typedef int (*Work)(int);

HOOKED static int call_in(void* module, int n) {
  CALLED();
  if (module == NULL) {
    printf("%s\n", dlerror());
    exit(1);
  }
  Work work;
  *(void**)&work = dlsym(module, "module_work");
  return work(n);
}

int main(void) {
  long sum = 0;
  void* here = dlopen("libmodule_alone.so", RTLD_NOW | RTLD_LOCAL);
  sum += call_in(here, 3);
  for (int i = 0; i < 10; ++i) {
    void* module = dlmopen(LM_ID_NEWLM, "libmodule_alone.so", RTLD_NOW | RTLD_LOCAL);
    sum += call_in(module, 10);
    sum += call_in(here, 3);
    dlclose(module);
  }
  printf("sum %ld\n", sum);
  return 0;
}
