// A library whose functions a program calls and takes the addresses of.
#define FUNCTION __attribute__((noinline, used, visibility("default")))

FUNCTION int imported_work(int value) {
  __asm__ volatile("" : "+r"(value));
  return value + 1;
}

FUNCTION int imported_other(int value) {
  __asm__ volatile("" : "+r"(value));
  return value + 2;
}

FUNCTION int (*address_of_work(void))(int) { return imported_work; }
