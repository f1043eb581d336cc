// Exceptions that cross the boundary of a loaded module in both directions.
#include <dlfcn.h>

#include <cstdio>
#include <cstdlib>
#include <stdexcept>

#include "calls.h"

namespace {

using Throws = int (*)(int);
using CallsBack = int (*)(int (*)(int), int);

HOOKED int callback(int n) {
  CALLED();
  if (n % 3 == 0) throw n;
  return n;
}

HOOKED int catches(Throws throws, CallsBack calls_back, int n) {
  CALLED();
  int value = 0;
  try {
    value += throws(n);
  } catch (const std::runtime_error&) {
    value += 100;
  }
  try {
    value += calls_back(callback, n);
  } catch (int thrown) {
    value += thrown;
  }
  return value;
}

}  // namespace

int main() {
  long sum = 0;
  for (int round = 0; round < 20; ++round) {
    void* module = dlopen("libmodule_throwing.so", RTLD_NOW);
    if (module == nullptr) {
      std::printf("%s\n", dlerror());
      return 1;
    }
    const auto throws = reinterpret_cast<Throws>(dlsym(module, "module_throws"));
    const auto calls_back = reinterpret_cast<CallsBack>(dlsym(module, "module_calls_back"));
    for (int i = 0; i < 50; ++i) sum += catches(throws, calls_back, i);
    dlclose(module);
  }
  std::printf("sum %ld\n", sum);
  return 0;
}
