// Runs the checks of a program that was linked as a module: loads it, and the library with it, into a process
// whose threads are running.
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "each_check.h"

enum { kThreads = 3 };

static const char* module_path;
static unsigned long turns;

__attribute__((noinline)) unsigned long late_function(unsigned long value) {
  __asm__ volatile("" : "+r"(value));
  return value + 1;
}

static void* run_for_ever(void* argument) {
  (void)argument;
  for (unsigned long value = 0;; value = late_function(value)) {
    __atomic_fetch_add(&turns, 1, __ATOMIC_RELAXED);
    usleep(100);
  }
  return NULL;
}

static void* module_function(const char* name) {
  void* module = dlopen(module_path, RTLD_NOW | RTLD_GLOBAL);
  void* function = module == NULL ? NULL : dlsym(module, name);
  if (function != NULL) return function;
  printf("%s\n", dlerror());
  exit(1);
}

static int run(const char* name, unsigned number) {
  for (int i = 0; i < kThreads; ++i) {
    pthread_t thread;
    if (pthread_create(&thread, NULL, run_for_ever, NULL) != 0) abort();
    pthread_detach(thread);
  }
  while (__atomic_load_n(&turns, __ATOMIC_RELAXED) < kThreads) usleep(100);
  int (*run_in_module)(const char*, unsigned);
  *(void**)&run_in_module = module_function("run_check");
  const int status = run_in_module(name, number);
  fflush(stdout);
  _exit(status);  // the threads go on
}

int main(int argc, char** argv) {
  if (argc < 2) return 2;
  module_path = argv[1];
  return argc > 2 ? run(argv[2], 0) : run_all_checks(run);
}
