// Threads that come and go: one after the other by the thousand, many at once, detached ones, and a pool.
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>

#include "calls.h"

// One after the other: more than there are thread slots at a time, 4096.
#ifdef FEW_THREADS
enum { kSequential = 100, kAtOnce = 50, kDetached = 100 };
#else
enum { kSequential = 4100, kAtOnce = 150, kDetached = 500 };
#endif
enum { kPool = 4, kJobs = 20000 };

static pthread_barrier_t barrier;
static unsigned finished;
static unsigned next_job;

HOOKED static unsigned leaf(unsigned n) {
  CALLED();
  return n * 3 + 1;
}

HOOKED static unsigned work(unsigned n) {
  CALLED();
  unsigned sum = 0;
  for (unsigned i = 0; i < 5; ++i) sum += leaf(n + i);
  return sum;
}

HOOKED static void* short_thread(void* argument) {
  CALLED();
  *(unsigned*)argument = work(*(unsigned*)argument);
  return argument;
}

HOOKED static void* waiting_thread(void* argument) {
  CALLED();
  work(1);
  pthread_barrier_wait(&barrier);
  *(unsigned*)argument = work(*(unsigned*)argument);
  pthread_barrier_wait(&barrier);
  return NULL;
}

HOOKED static void* detached_thread(void* argument) {
  CALLED();
  work(7);
  __atomic_fetch_add(&finished, 1, __ATOMIC_RELEASE);
  return argument;
}

HOOKED static void* pool_thread(void* argument) {
  CALLED();
  while (__atomic_fetch_add(&next_job, 1, __ATOMIC_RELAXED) < kJobs) work(2);
  return argument;
}

static void start(pthread_t* thread, void* (*body)(void*), void* argument) {
  if (pthread_create(thread, NULL, body, argument) != 0) abort();
}

int main(void) {
  pthread_t threads[kAtOnce];
  unsigned values[kAtOnce];
  unsigned long sum = 0;
  for (unsigned i = 0; i < kSequential; ++i) {
    unsigned value = i;
    start(&threads[0], short_thread, &value);
    pthread_join(threads[0], NULL);
    sum += value;
  }
  printf("sequential %lu\n", sum);

  pthread_barrier_init(&barrier, NULL, kAtOnce);
  for (unsigned i = 0; i < kAtOnce; ++i) {
    values[i] = i;
    start(&threads[i], waiting_thread, &values[i]);
  }
  for (unsigned i = 0; i < kAtOnce; ++i) {
    pthread_join(threads[i], NULL);
    sum += values[i];
  }
  printf("at once %lu\n", sum);

  for (unsigned i = 0; i < kDetached; ++i) {
    start(&threads[0], detached_thread, NULL);
    pthread_detach(threads[0]);
    while (i > __atomic_load_n(&finished, __ATOMIC_ACQUIRE) + 50) {
      sched_yield();
    }
  }
  while (__atomic_load_n(&finished, __ATOMIC_ACQUIRE) != kDetached) sched_yield();
  printf("detached %u\n", finished);

  for (unsigned i = 0; i < kPool; ++i) start(&threads[i], pool_thread, NULL);
  for (unsigned i = 0; i < kPool; ++i) pthread_join(threads[i], NULL);
  printf("pool done\n");
  return 0;
}
