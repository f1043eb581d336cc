// Functions to be patched, built once a layout. Each must be called through its address.
#define FUNCTION(n)                                     \
  __attribute__((noinline)) int target_##n(int value) { \
    __asm__ volatile("" : "+r"(value));                 \
    return value + n;                                   \
  }
// The formatter breaks a list of macros differently each time it runs.
// clang-format off
#define TEN(n)                                                                                             \
  FUNCTION(n##0)                                                                                           \
  FUNCTION(n##1) FUNCTION(n##2) FUNCTION(n##3) FUNCTION(n##4) FUNCTION(n##5) FUNCTION(n##6) FUNCTION(n##7) \
      FUNCTION(n##8) FUNCTION(n##9)

TEN(1) TEN(2) TEN(3) TEN(4) TEN(5)
#ifdef FAR_SECTION  // a module that takes more address space than a jump reaches
#undef FUNCTION
#define FUNCTION(n)                                                                           \
  __attribute__((noinline, section(".far_text"))) int target_##n(int value) {                 \
    __asm__ volatile("" : "+r"(value));                                                       \
    return value + n;                                                                         \
  }
#endif
TEN(6)
