// Something to record: 1999 calls of recurse() in two threads.
#include <pthread.h>

__attribute__((noinline)) static int recurse(int n) { return n <= 1 ? 1 : recurse(n - 1) + 1; }

__attribute__((noinline)) static void* thread(void* depth) {
  return recurse(*(int*)depth) == *(int*)depth ? depth : (void*)0;
}

int main(void) {
  pthread_t other;
  int depths[] = {1000, 999};
  if (pthread_create(&other, (void*)0, thread, &depths[0]) != 0) return 1;
  void* result;
  return pthread_join(other, &result) == 0 && result != (void*)0 && thread(&depths[1]) != (void*)0 ? 0 : 1;
}
