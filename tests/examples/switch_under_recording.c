// A program that turns its own clients off by the global switch: whoever records it still sees every call.
#include <calltap/calltap.h>
#include <stdio.h>

__attribute__((noinline)) static int step(int n) {
  __asm__("");
  return n + 1;
}

static int seen;
static void on_step(uint64_t ip, uint64_t parent_ip, ct_ops* ops, ct_regs* regs) {
  (void)ip, (void)parent_ip, (void)ops, (void)regs;
  ++seen;
}

int main(void) {
  ct_ops* ops = ct_new_callback(on_step, NULL, 0);
  if (ct_set_filter(ops, "step", 0) != 0 || ct_register_ops(ops) != 0) return 1;
  int n = 0;
  while (n < 100) n = step(n);
  if (ct_set_enabled(0) != 0) return 2;
  while (n < 1000) n = step(n);
  if (ct_set_enabled(1) != 0) return 3;
  while (n < 1010) n = step(n);
  printf("seen %d of %d\n", seen, n);
  return 0;
}
