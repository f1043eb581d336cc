// pthread_cancel: deferred in a blocking read, deferred at a test point, asynchronous in the middle of hooked
// calls. Cancellation unwinds hooked frames by force and runs their destructors.
#include <pthread.h>
#include <semaphore.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>

#include "calls.h"

namespace {

constexpr int kRounds = 200;

sem_t started;
int pipe_ends[2];
int destroyed = 0;
int cleaned = 0;

struct Guard {
  HOOKED ~Guard() {
    CALLED_AS("Guard::~Guard");
    __atomic_fetch_add(&destroyed, 1, __ATOMIC_RELAXED);
  }
};

HOOKED void clean(void*) {
  CALLED();
  __atomic_fetch_add(&cleaned, 1, __ATOMIC_RELAXED);
}

HOOKED int read_for_ever() {
  CALLED();
  Guard guard;
  char byte = 0;
  sem_post(&started);
  while (read(pipe_ends[0], &byte, 1) == 1) {
  }
  return byte;
}

HOOKED int test_point(int n) {
  CALLED();
  pthread_testcancel();
  return n + 1;
}

HOOKED int test_for_ever() {
  CALLED();
  Guard guard;
  sem_post(&started);
  for (int n = 0;;) n = test_point(n);
}

HOOKED void* deferred_read(void*) {
  CALLED();
  pthread_cleanup_push(clean, nullptr);
  read_for_ever();
  pthread_cleanup_pop(0);
  return nullptr;
}

HOOKED void* deferred_test(void*) {
  CALLED();
  pthread_cleanup_push(clean, nullptr);
  test_for_ever();
  pthread_cleanup_pop(0);
  return nullptr;
}

// Only code that is safe to cancel anywhere runs here: no destructor, nothing but registers and hooked calls.
// The calls are not counted by the program, as cancellation may come between the hook and the count.
HOOKED unsigned spin_leaf(unsigned n) {
  NOT_A_TAIL_CALL();
  return n + 1;
}

HOOKED unsigned spin(unsigned n) {
  for (unsigned i = 0; i < 100; ++i) n = spin_leaf(n);
  return n;
}

HOOKED void* asynchronous(void*) {
  CALLED();
  sem_post(&started);
  int old = 0;
  pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, &old);
  for (unsigned n = 0;;) n = spin(n);
}

int cancel_one(void* (*body)(void*)) {
  pthread_t thread;
  if (pthread_create(&thread, nullptr, body, nullptr) != 0) std::abort();
  sem_wait(&started);
  pthread_cancel(thread);
  void* result = nullptr;
  pthread_join(thread, &result);
  return result == PTHREAD_CANCELED ? 1 : 0;
}

}  // namespace

int main() {
  sem_init(&started, 0, 0);
  if (pipe(pipe_ends) != 0) std::abort();
  int cancelled = 0;
  for (int i = 0; i < kRounds; ++i) {
    cancelled += cancel_one(deferred_read);
    cancelled += cancel_one(deferred_test);
    cancelled += cancel_one(asynchronous);
  }
  std::printf("cancelled %d, cleaned %d, destroyed %d\n", cancelled, cleaned, destroyed);
  return 0;
}
