// A program whose only entry has no room for a jump: one NOP before the function and none in it.
__attribute__((noinline, patchable_function_entry(1, 1))) static int no_room(void) {
  __asm__ volatile("");
  return 0;
}

__attribute__((patchable_function_entry(0, 0))) int main(void) { return no_room(); }
