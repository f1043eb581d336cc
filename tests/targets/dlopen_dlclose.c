// Modules with sites that come and go by the thousand, two with the same function names, one loading another,
// one unloaded while a thread runs in its twin. Constructors and destructors are recorded like everything
// else.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "calls.h"
#include "own_command.h"

enum { kRounds = 600, kAllowedGrowthKib = 8192 };

typedef int (*Work)(int);

static unsigned stop;

HOOKED static void* load(const char* name) {
  CALLED();
  void* module = dlopen(name, RTLD_NOW | RTLD_LOCAL);
  if (module == NULL) {
    printf("%s\n", dlerror());
    exit(1);
  }
  return module;
}

HOOKED static Work find(void* module, const char* name) {
  CALLED();
  Work work;
  *(void**)&work = dlsym(module, name);
  if (work == NULL) abort();
  return work;
}

HOOKED static int load_and_call(const char* name) {
  CALLED();
  void* module = load(name);
  const int value = find(module, "module_work")(5);
  dlclose(module);
  return value;
}

HOOKED static void* run_in_module(void* argument) {
  CALLED();
  const Work work = *(Work*)argument;
  while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) work(20);
  return NULL;
}

static long mapped_kib(void) {
  unsigned long pages = 0;
  FILE* file = fopen("/proc/self/statm", "r");
  if (file == NULL || fscanf(file, "%*u %lu", &pages) != 1) abort();
  fclose(file);
  return (long)pages * 4;
}

int main(void) {
  long sum = 0;
  for (int i = 0; i < 100; ++i) sum += load_and_call("libmodule_a.so") + load_and_call("libmodule_b.so");
  const long before = mapped_kib();
  for (int i = 0; i < kRounds; ++i) {
    sum += load_and_call("libmodule_a.so");
    sum += load_and_call("libmodule_b.so");
  }
  const long grown = mapped_kib() - before;
  if (grown > kAllowedGrowthKib && !is_emulated()) printf("grown by %ld KiB\n", grown);
  printf("sum %ld\n", sum);

  // A thread stays in module A while B is loaded and unloaded beside it.
  void* module = load("libmodule_a.so");
  Work work = find(module, "module_work");
  pthread_t thread;
  if (pthread_create(&thread, NULL, run_in_module, &work) != 0) abort();
  sum = 0;
  for (int i = 0; i < kRounds / 5; ++i) sum += load_and_call("libmodule_b.so");
  stop = 1;
  pthread_join(thread, NULL);
  dlclose(module);
  printf("beside a thread %ld\n", sum);

  sum = 0;
  for (int i = 0; i < 50; ++i) {
    void* opener = load("libmodule_opening.so");
    sum += find(opener, "opening_work")(4);
    dlclose(opener);
  }
  printf("opened by a constructor %ld\n", sum);
  return 0;
}
