// pthread_exit from deep inside hooked functions: cleanup handlers and destructors run, themselves hooked,
// and the runtime's frames of the thread are given back.
#include <pthread.h>

#include <cstdio>
#include <cstdlib>

#include "calls.h"

namespace {

constexpr int kThreads = 500;

int cleaned = 0;
int destroyed = 0;

HOOKED void clean(void* argument) {
  CALLED();
  cleaned += *static_cast<int*>(argument);
}

struct Guard {
  HOOKED ~Guard() {
    CALLED_AS("Guard::~Guard");
    ++destroyed;
  }
};

HOOKED void leave(int value) {
  CALLED();
  static int results[kThreads];
  results[value] = value * 2;
  pthread_exit(&results[value]);
}

HOOKED int nested(int depth, int value) {
  CALLED();
  Guard guard;
  if (depth == 0) leave(value);
  const int result = nested(depth - 1, value);
  NOT_A_TAIL_CALL();
  return result + 1;
}

HOOKED void* body(void* argument) {
  CALLED();
  int one = 1;
  pthread_cleanup_push(clean, &one);
  nested(10, *static_cast<int*>(argument));
  pthread_cleanup_pop(0);
  return nullptr;
}

HOOKED void* last_thread(void*) {
  CALLED();
  std::printf("after main: cleaned %d, destroyed %d\n", cleaned, destroyed);
  std::exit(3);
}

}  // namespace

int main() {
  long sum = 0;
  for (int i = 0; i < kThreads; ++i) {
    pthread_t thread;
    if (pthread_create(&thread, nullptr, body, &i) != 0) std::abort();
    void* result = nullptr;
    pthread_join(thread, &result);
    sum += *static_cast<int*>(result);
  }
  std::printf("sum %ld\n", sum);
  // The main thread goes first; the process lives on in another one.
  pthread_t thread;
  if (pthread_create(&thread, nullptr, last_thread, nullptr) != 0) std::abort();
  pthread_exit(nullptr);
}
