// A signal handler that leaves by longjmp, before every instruction of a call that has a probe: the exit
// handler may run though the entry handler was never come to, but never with another call's data.
#include <setjmp.h>
#include <signal.h>
#include <string.h>
#include <ucontext.h>

#include "check.h"

enum { kTrapFlag = 0x100, kMostSteps = 4000 };

static uint64_t token;  // of the call that is stepped through
static unsigned exits, wrong;
static volatile unsigned steps_left;
static sigjmp_buf out;

HOOKED unsigned work(unsigned n) {
  __asm__ volatile("" : "+r"(n));
  return n + 1;
}
HOOKED unsigned settle(unsigned n) {
  __asm__ volatile("" : "+r"(n));
  return n;
}

static int on_entry(uint64_t ip, uint64_t parent_ip, ct_ops* ops, ct_regs* regs, void* data) {
  (void)ip, (void)parent_ip, (void)ops, (void)regs;
  memcpy(data, &token, sizeof token);
  return 0;
}
static void on_exit_of_call(uint64_t ip, uint64_t parent_ip, ct_ops* ops, ct_regs* regs, void* data) {
  (void)ip, (void)parent_ip, (void)ops, (void)regs;
  uint64_t found;
  memcpy(&found, data, sizeof found);
  ++exits;
  if (found != token && found != 0) ++wrong;
}

static void on_trap(int number, siginfo_t* info, void* context) {
  (void)number, (void)info, (void)context;
  if (--steps_left == 0) siglongjmp(out, 1);
}

static void set_trap_flag(int on) {
  uint64_t flags;
  __asm__ volatile("pushfq\n\tpopq %0" : "=r"(flags)::"memory");
  flags = on ? flags | kTrapFlag : flags & ~(uint64_t)kTrapFlag;
  __asm__ volatile("pushq %0\n\tpopfq" ::"r"(flags) : "memory", "cc");
}

/// 1 if the call was left after so many instructions, 0 if it came to its end.
__attribute__((noinline)) static int leave_after(unsigned steps) {
  steps_left = steps;
  if (sigsetjmp(out, 1) != 0) {
    set_trap_flag(0);
    return 1;
  }
  set_trap_flag(1);
  work(1);
  set_trap_flag(0);
  return 0;
}

static void step_through(int flags) {
  struct sigaction action = {.sa_sigaction = on_trap, .sa_flags = SA_SIGINFO};
  sigaction(SIGTRAP, &action, NULL);
  ct_ops* probe = ct_new_probe(on_entry, on_exit_of_call, sizeof token, NULL, flags);
  CHECK_OK(ct_set_filter(probe, "work", 0));

  CHECK_OK(ct_register_ops(probe));
  work(1);
  unsigned steps = 1;
  for (; steps < kMostSteps; ++steps) {
    token = 0x10000 + steps;
    const int was_left = leave_after(steps);
    settle(1);
    work(1);  // finds what the jump has left, while the token is still that call's
    if (!was_left) break;
  }
  CHECK(steps < kMostSteps && steps > 50);
  CHECK_EQUAL(wrong, 0);
  CHECK(exits > steps);  // one for each call that was not left
  CHECK_OK(ct_unregister_ops(probe));
}

TEST(data_of_interrupted_calls_general) { step_through(CT_GENERAL_REGS_ONLY); }
TEST(data_of_interrupted_calls_with_vectors) { step_through(0); }
