// Calls after main: atexit, static destructors, destructors of thread-local objects, of the main thread and
// of others, and on_exit handlers that start threads.
#include <cstdio>
#include <cstdlib>
#include <thread>

#include "calls.h"

namespace {

HOOKED int leaf(int n) {
  CALLED();
  return n + 1;
}

struct Static {
  HOOKED ~Static() {
    CALLED_AS("Static::~Static");
    std::printf("static destructor %d\n", leaf(1));
  }
};

struct Local {
  int touched = 0;
  HOOKED ~Local() {
    CALLED_AS("Local::~Local");
    leaf(touched);
  }
};

Static last;
thread_local Local local;

HOOKED void thread_body() {
  CALLED();
  local.touched = leaf(1);
}

HOOKED void at_exit() {
  CALLED();
  std::thread late(thread_body);
  late.join();
  std::printf("atexit %d\n", leaf(2));
}

}  // namespace

int main() {
  std::atexit(at_exit);
  for (int i = 0; i < 100; ++i) {
    std::thread thread(thread_body);
    thread.join();
  }
  local.touched = 1;
  std::printf("main ends\n");
  return 4;
}
