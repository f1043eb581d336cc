// Counts the calls of a function while the program runs.
#include <calltap/calltap.h>
#include <stdio.h>
#include <stdlib.h>

// A function that the compiler inlines has no calls to count.
__attribute__((noinline)) static unsigned long step(unsigned long n) {
  return n % 2 == 0 ? n / 2 : 3 * n + 1;
}

static unsigned collatz(unsigned long n) {
  unsigned steps = 0;
  for (; n != 1; n = step(n)) ++steps;
  return steps;
}

// At every entry of a function that the filter selects. Other threads may be doing the same.
static void on_call(uint64_t ip, uint64_t parent_ip, ct_ops* ops, ct_regs* regs) {
  (void)ip, (void)parent_ip, (void)regs;
  unsigned long* calls = ct_ops_user(ops);
  __atomic_fetch_add(calls, 1, __ATOMIC_RELAXED);
}

static void require(int result) {
  if (result == 0) return;
  fprintf(stderr, "%s\n", ct_error_text());
  exit(1);
}

int main(void) {
  unsigned long calls = 0;
  ct_ops* ops = ct_new_callback(on_call, &calls, 0);
  if (ops == NULL) require(-1);
  require(ct_set_filter(ops, "step", 0));

  printf("collatz(27) takes %u steps\n", collatz(27));
  printf("nobody is attached: %lu calls seen\n", calls);

  require(ct_register_ops(ops));
  printf("collatz(97) takes %u steps\n", collatz(97));
  printf("attached: %lu calls seen\n", calls);

  // When this returns no handler runs, and none will: `calls` may go.
  require(ct_unregister_ops(ops));
  printf("collatz(871) takes %u steps\n", collatz(871));
  printf("detached: still %lu calls seen\n", calls);
  require(ct_free_ops(ops));
  return 0;
}
