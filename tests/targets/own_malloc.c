// The program's own malloc, itself hooked: everything that allocates, including what the runtime might, comes
// through it.
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "calls.h"

enum { kArenaBytes = 64 << 20, kThreads = 20 };

static char arena[kArenaBytes] __attribute__((aligned(16)));
static size_t used;

HOOKED static void* take(size_t bytes, size_t alignment) {
  CALLED();
  const size_t mask = (alignment < 16 ? 16 : alignment) - 1;
  // Room for the size in front of the block.
  const size_t start = __atomic_fetch_add(&used, bytes + mask + 32, __ATOMIC_RELAXED);
  if (start + bytes + mask + 32 > kArenaBytes) return NULL;
  char* block = arena + ((start + 16 + mask) & ~mask);
  memcpy(block - sizeof bytes, &bytes, sizeof bytes);
  return block;
}

HOOKED void* malloc(size_t bytes) {
  CALLED();
  return take(bytes, 16);
}

HOOKED void free(void* block) {
  CALLED();
  (void)block;
}

HOOKED void* calloc(size_t count, size_t bytes) {
  CALLED();
  return take(count * bytes, 16);
}

HOOKED void* realloc(void* block, size_t bytes) {
  CALLED();
  char* larger = take(bytes, 16);
  if (block == NULL || larger == NULL) return larger;
  size_t old;
  memcpy(&old, (char*)block - sizeof old, sizeof old);
  const size_t kept = old < bytes ? old : bytes;
  for (size_t i = 0; i < kept; ++i) larger[i] = ((char*)block)[i];
  return larger;
}

HOOKED int posix_memalign(void** block, size_t alignment, size_t bytes) {
  CALLED();
  *block = take(bytes, alignment);
  return *block == NULL ? ENOMEM : 0;
}

HOOKED void* aligned_alloc(size_t alignment, size_t bytes) {
  CALLED();
  return take(bytes, alignment);
}

HOOKED void* memalign(size_t alignment, size_t bytes) {
  CALLED();
  return take(bytes, alignment);
}

HOOKED static void* body(void* argument) {
  CALLED();
  char* volatile text = NULL;
  for (size_t i = 1; i < 200; ++i) {
    text = realloc(text, i);
    text[i - 1] = (char)i;
  }
  free(text);
  return argument;
}

int main(void) {
  pthread_t threads[kThreads];
  for (int i = 0; i < kThreads; ++i) {
    if (pthread_create(&threads[i], NULL, body, NULL) != 0) abort();
  }
  for (int i = 0; i < kThreads; ++i) pthread_join(threads[i], NULL);
  char* volatile copy = strdup("a word");
  printf("%s\n", copy);
  free(copy);
  return 0;
}
