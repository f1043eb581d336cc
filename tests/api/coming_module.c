// A module that a program loads and unloads. Its constructor calls its functions: what is attached before
// that sees it.
#define FUNCTION __attribute__((noinline, used, visibility("default")))

FUNCTION int coming_work(int value) {
  __asm__ volatile("" : "+r"(value));
  return value + MODULE_NUMBER;
}

FUNCTION int coming_other_work(int value) {
  __asm__ volatile("" : "+r"(value));
  return value - MODULE_NUMBER;
}

FUNCTION __attribute__((patchable_function_entry(1, 1))) int coming_unpatchable(void) { return 0; }

static int constructed;
__attribute__((constructor)) static void construct(void) { constructed = coming_work(100); }
FUNCTION int value_of_constructor(void) { return constructed; }
