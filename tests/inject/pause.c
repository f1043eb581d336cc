// Waits. It needs no library and no start files, so compilers make a 32-bit program of it without having
// theirs.
void _start(void);
void _start(void) {
#ifdef __x86_64__
  for (;;) __asm__ volatile("syscall" : : "a"(34) : "rcx", "r11", "memory");  // pause
#else
  for (;;) __asm__ volatile("int $0x80" : : "a"(29) : "memory");
#endif
}
