// A module that comes, goes and comes again. Each version has its function at the same place (the section
// .reloaded is linked to a fixed address), and its body at another distance behind the entry.
__attribute__((noinline, used, visibility("default"), section(".reloaded"))) int reloaded_work(int value) {
  __asm__ volatile("" : "+r"(value));
  return value + MODULE_NUMBER;
}
