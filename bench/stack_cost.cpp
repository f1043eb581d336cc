// What a recorded call stack costs: calls leaf() at a depth of DEPTH functions, COUNT times, and prints the
// CPU time of a call in ns. With "backtrace" leaf() calls that.
//
//   stack_cost DEPTH COUNT [backtrace]
#include <execinfo.h>
#include <time.h>

#include <cstdio>
#include <cstdlib>

namespace {

int calls = 0;
bool asks = false;
volatile int sink = 0;

double cpu_ns() {
  timespec now;
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) * 1e9 + static_cast<double>(now.tv_nsec);
}

}  // namespace

extern "C" [[gnu::noinline]] void leaf() {
  if (!asks) return;
  void* found[200];
  sink = ::backtrace(found, 200);
}

/// Functions of their own, each with a frame of its own size: nothing about one says something about the
/// next.
template <int kDepth>
[[gnu::noinline, gnu::patchable_function_entry(0)]] void descend() {
  volatile char room[kDepth * 8 + 8];
  room[0] = 1;
  if constexpr (kDepth > 1) {
    descend<kDepth - 1>();
  } else {
    for (int i = 0; i < calls; ++i) leaf();
  }
  sink = room[0];
}

int main(int argc, char** argv) {
  if (argc < 3) return 2;
  calls = std::atoi(argv[2]);
  asks = argc > 3;
  const double before = cpu_ns();
  // With main(), what calls it, and leaf() itself.
  if (std::atoi(argv[1]) == 10) {
    descend<5>();
  } else {
    descend<25>();
  }
  std::printf("%.1f\n", (cpu_ns() - before) / calls);
}
