// A program with many shapes of functions, compiled by site_build_test in every way that a user might compile
// one. Every function of it is called demo_*, so that the test can tell them from the compiler's and the
// libraries'.
#include <cstdio>
#include <cstdlib>

extern "C" {
int demo_global(int x) { return x * 3 + 1; }

__attribute__((noinline)) static int demo_static(int x) { return x + std::abs(x); }

// Nothing between its entry and the next function but what the compiler reserved.
__attribute__((noinline, used)) void demo_empty() {}

// A body that starts with NOPs, and with a jump target behind the first one: none of them belongs to the
// sled.
__attribute__((noinline, used)) void demo_starts_with_nops() {
  __asm__ volatile("nop\n0:\n\tnop\n\ttest %%esp, %%esp\n\tjz 0b" ::: "cc");
}

__attribute__((noinline)) int demo_switch(int x) {
  switch (x) {
    case 0:
      return demo_global(4);
    case 1:
      return demo_static(9);
    case 2:
      return 77;
    case 3:
      return demo_static(-4);
    case 4:
      return std::printf("four\n");
    default:
      return x;
  }
}

__attribute__((noinline)) double demo_vector(const double* values, int count) {
  double sum = 0;
  for (int i = 0; i < count; ++i) sum += values[i] * values[i];
  return sum;
}

__attribute__((noinline, visibility("hidden"))) int demo_variadic(const char* format, ...) { return *format; }

// Dropped by --gc-sections.
int demo_unused(int x) { return x - 1; }

__attribute__((patchable_function_entry(0))) int demo_refuses(int x) { return x + 5; }

int demo_run(int argc) {
  const double values[] = {1, 2, 3};
  demo_empty();
  demo_starts_with_nops();
  return demo_switch(argc) + static_cast<int>(demo_vector(values, 3)) + demo_variadic("%d", argc) +
         demo_refuses(argc);
}
}

#ifdef DEMO_MAIN
int main(int argc, char**) { return demo_run(argc) == 0; }
#endif
