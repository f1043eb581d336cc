// A module that a target loads while it runs.
__attribute__((noinline)) unsigned plugin(unsigned n) {
  __asm__ volatile("" ::: "memory");
  return n * 3;
}
