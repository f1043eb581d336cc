// A signal stack that is a part of the thread's own stack, nearer to its beginning than what a signal
// interrupts: where addresses alone would say that the interrupted calls are over.
#include <signal.h>

#include "check.h"

enum { kStackBytes = 1 << 16 };

HOOKED int work(int value) {
  __asm__ volatile("");
  return value + 1;
}

HOOKED int interrupted(int value) {
  raise(SIGUSR2);
  return value + work(value);
}

static volatile uint64_t entries;
static volatile uint64_t calls_on_signal_stack;
static void call_work(int signal) {
  (void)signal;
  ++calls_on_signal_stack;
  work(1);
}
static void raise_and_call(uint64_t ip, uint64_t parent_ip, ct_ops* ops, ct_regs* regs) {
  (void)ip, (void)parent_ip, (void)ops, (void)regs;
  if (++entries != 1) return;
  raise(SIGUSR2);
  work(1);  // the handler still runs: this call is not seen
}

/// Signals are handled in `memory`, which is nearer to the stack's beginning than what they interrupt.
static void use_signal_stack(char* memory) {
  const stack_t stack = {.ss_sp = memory, .ss_size = kStackBytes};
  CHECK_EQUAL(sigaltstack(&stack, NULL), 0);
  struct sigaction action = {.sa_handler = call_work, .sa_flags = SA_ONSTACK};
  CHECK_EQUAL(sigaction(SIGUSR2, &action, NULL), 0);
}

TEST(a_handler_that_is_interrupted_is_not_over) {
  char memory[kStackBytes];
  use_signal_stack(memory);
  ct_ops* ops = ct_new_callback(raise_and_call, NULL, 0);
  CHECK_OK(ct_set_filter(ops, "work", 0));
  CHECK_OK(ct_register_ops(ops));
  work(1);
  CHECK_EQUAL(calls_on_signal_stack, 1);
  CHECK_EQUAL(entries, 2);  // the call itself, and that of the signal handler
  CHECK_EQUAL(ct_ops_missed(ops), 1);
  CHECK_OK(ct_free_ops(ops));
}

static volatile uint64_t exits, unwound;
static int on_entry(uint64_t ip, uint64_t parent_ip, ct_ops* ops, ct_regs* regs, void* data) {
  (void)ip, (void)parent_ip, (void)ops, (void)regs, (void)data;
  ++entries;
  return 0;
}
static void on_exit_of_call(uint64_t ip, uint64_t parent_ip, ct_ops* ops, ct_regs* regs, void* data) {
  (void)ip, (void)parent_ip, (void)ops, (void)data;
  ++exits;
  if (ct_regs_unwound(regs)) ++unwound;
}

TEST(a_call_that_is_interrupted_is_not_over) {
  char memory[kStackBytes];
  use_signal_stack(memory);
  ct_ops* ops = ct_new_probe(on_entry, on_exit_of_call, 0, NULL, 0);
  CHECK_OK(ct_set_filter(ops, "work", 0));
  CHECK_OK(ct_set_filter(ops, "interrupted", 0));
  CHECK_OK(ct_register_ops(ops));
  CHECK_EQUAL(interrupted(1), 3);
  CHECK_EQUAL(calls_on_signal_stack, 1);
  CHECK_EQUAL(entries, 3);
  CHECK_EQUAL(exits, 3);
  CHECK_EQUAL(unwound, 0);
  CHECK_OK(ct_free_ops(ops));
}
