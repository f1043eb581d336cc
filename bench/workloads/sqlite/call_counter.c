// Counts the calls of a program built with `gcc -pg -mfentry`, without any part of Calltap: the number that a
// recording of the same program is checked against. Written to standard error when the program exits.
// Single-threaded, x86-64.
#include <stdio.h>

unsigned long calls_counted;

__asm__(
    ".globl __fentry__\n"
    ".type __fentry__, @function\n"
    "__fentry__:\n"
    "  incq calls_counted(%rip)\n"
    "  ret\n"
    ".size __fentry__, . - __fentry__\n");

__attribute__((destructor, no_instrument_function)) static void print_count(void) {
  fprintf(stderr, "calls %lu\n", calls_counted);
}
