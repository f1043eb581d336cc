// What the tests have loaded: a constructor, a thread-local variable, and functions to call.
#include <dlfcn.h>
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static unsigned constructed;
static unsigned calls;
static _Thread_local unsigned in_this_thread = 7;

__attribute__((constructor)) static void construct(void) {
  // Loading takes the loader's lock and malloc's; so does a thread that the real library starts.
  void* memory = malloc(100000);
  memset(memory, 1, 100000);
  free(memory);
  ++constructed;
}

// argument * 1000 + the number of calls, if all is as it should be.
uint64_t injected_call(uint64_t argument) {
  errno = EBADMSG;
  ++in_this_thread;
  // Every register that a function may change.
  __asm__ volatile("xor %%eax, %%eax\n vzeroall\n fninit"
                   :
                   :
                   : "rax", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11", "memory");
  if (constructed != 1 || in_this_thread < 8) return 0;
  return argument * 1000 + ++calls;
}

uint64_t injected_crash(uint64_t argument) { return *(volatile uint64_t*)argument; }

uint64_t injected_exit(uint64_t argument) { _Exit((int)argument); }

uint64_t injected_loop(uint64_t argument) {
  for (volatile uint64_t* end = (volatile uint64_t*)&argument; *end != 1;) continue;
  return 0;
}
