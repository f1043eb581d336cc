// Many shapes of functions without a header or a library, for machines of which only a compiler is here. It
// is compiled and read, never run. Every function is called demo_*, as in site_program.cpp.
extern "C" {
const double values[] = {1, 2, 3};

int demo_global(int x) { return x * 3 + 1; }

__attribute__((noinline)) static int demo_static(int x) { return demo_global(x) + x; }

// Nothing between its entry and the next function but what the compiler reserved.
__attribute__((noinline, used)) void demo_empty() {}

// A body that starts with NOPs, and with a jump target behind the first one: none of them belongs to the
// sled.
__attribute__((noinline, used)) void demo_starts_with_nops() {
#ifdef __riscv
  __asm__ volatile("nop\n0:\n\tnop\n\tbnez a0, 0b");
#else
  __asm__ volatile("nop\n0:\n\tnop\n\tcbnz x0, 0b");
#endif
}

__attribute__((noinline, cold)) int demo_cold(int x) { return demo_static(x) - demo_global(x); }

__attribute__((noinline)) double demo_vector(const double* values, int count) {
  double sum = 0;
  for (int i = 0; i < count; ++i) sum += values[i] * values[i];
  return sum;
}

__attribute__((noinline, visibility("hidden"))) int demo_variadic(const char* format, ...) { return *format; }

__attribute__((patchable_function_entry(0))) int demo_refuses(int x) { return x + 5; }

int demo_run(int x) {
  demo_empty();
  demo_starts_with_nops();
  if (x == 1) return demo_cold(x);
  return demo_static(x) + static_cast<int>(demo_vector(values, 3)) + demo_variadic("%d", x) + demo_refuses(x);
}
}
