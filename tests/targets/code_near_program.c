// A program that looks where Calltap's code lies: where libcalltap.so is loaded, the trampolines are near the
// program, no address space is kept, and the heap begins where it does without us.
#define _GNU_SOURCE
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "calls.h"

struct Maps {
  int has_runtime;
  uint64_t trampolines;  // 0: not loaded
  int reserved_mappings;
};

HOOKED static struct Maps read_maps(void) {
  CALLED();
  struct Maps maps = {0};
  char line[4096];
  FILE* file = fopen("/proc/self/maps", "r");
  if (file == NULL) abort();
  while (fgets(line, sizeof line, file) != NULL) {
    unsigned long long low = 0;
    unsigned long long high = 0;
    if (sscanf(line, "%llx-%llx", &low, &high) != 2) abort();
    maps.has_runtime |= strstr(line, "/libcalltap.so") != NULL;
    if (strstr(line, "/libcalltap-trampolines.so") != NULL) maps.trampolines = low;
    maps.reserved_mappings += high - low > (1ull << 40);
  }
  fclose(file);
  return maps;
}

HOOKED static int is_on_heap(const void* memory) {
  CALLED();
  const uint64_t end = (uint64_t)sbrk(0);
  return (uint64_t)memory < end && end - (uint64_t)memory < (1 << 20);
}

int main(void) {
  CALLED();
  const struct Maps maps = read_maps();
  const int64_t distance = (int64_t)(maps.trampolines - (uint64_t)&main);
  if (maps.has_runtime && llabs(distance) >= INT64_C(1) << 31) {
    puts("the trampolines are not near the program");
  }
  if (maps.reserved_mappings != 0) puts("address space is reserved");
  void* memory = malloc(1000);
  if (!is_on_heap(memory)) puts("malloc does not use brk");
  free(memory);
  return 0;
}
