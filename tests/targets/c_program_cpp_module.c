// A C program that loads a C++ module: there is no demangler in the process when it starts.
#include <dlfcn.h>
#include <stdio.h>

#include "calls.h"

HOOKED int main(void) {
  CALLED();
  void* module = dlopen("libmodule_throwing.so", RTLD_NOW);
  if (module == NULL) {
    printf("%s\n", dlerror());
    return 1;
  }
  int (*throws)(int) = (int (*)(int))dlsym(module, "module_throws");
  int sum = 0;
  for (int i = 0; i < 10; ++i) sum += throws(2 * i + 1);
  printf("sum %d\n", sum);
  return 0;
}
