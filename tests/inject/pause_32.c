// A 32-bit program that waits. It needs no library and no start files, so compilers make it without theirs.
void _start(void) {
  for (;;) __asm__ volatile("int $0x80" : : "a"(29) : "memory");  // pause
}
