// Places to stop at, for debugger_backtraces.py: the body, the handlers, the direct call's trampoline and the
// replacement, for each way in which a site runs its clients.
#include "check.h"
#include "dispatch_kinds.h"
#include "trampolines.h"

// What the debugger reads: the letters of the clients at work.
const char* volatile clients_at_work;

// The breakpoints are the lines with this macro.
#define STOP __asm__ volatile("nop")

static unsigned bodies;

HOOKED int hooked_function(int value) {
  STOP;  // body
  ++bodies;
  return value + 1;
}

HOOKED int replacement(int value) {
  STOP;  // replacement
  ++bodies;
  return value + 1;
}

__attribute__((noinline)) static void on_entry(uint64_t ip, uint64_t parent_ip, ct_ops* ops, ct_regs* regs) {
  (void)ip, (void)parent_ip, (void)ops, (void)regs;
  STOP;  // entry
}

__attribute__((noinline)) static int on_probe_entry(uint64_t ip, uint64_t parent_ip, ct_ops* ops,
                                                    ct_regs* regs, void* data) {
  (void)ip, (void)parent_ip, (void)ops, (void)regs, (void)data;
  STOP;  // probe entry
  return 0;
}

__attribute__((noinline)) static void on_probe_exit(uint64_t ip, uint64_t parent_ip, ct_ops* ops,
                                                    ct_regs* regs, void* data) {
  (void)ip, (void)parent_ip, (void)ops, (void)regs, (void)data;
  STOP;  // probe exit
}

__attribute__((noinline)) static void set_ip(uint64_t ip, uint64_t parent_ip, ct_ops* ops, ct_regs* regs) {
  (void)ip, (void)parent_ip, (void)ops;
  STOP;  // set ip
  ct_regs_set_ip(regs, (uintptr_t)replacement);
}

__attribute__((noinline)) static void override_return(uint64_t ip, uint64_t parent_ip, ct_ops* ops,
                                                      ct_regs* regs) {
  (void)ip, (void)parent_ip, (void)ops;
  STOP;  // override
  ct_regs_override_return(regs, 8);
}

__attribute__((noinline, used)) void in_direct_trampoline(void) {
  STOP;  // direct
}

// As one is written: keeps what the function may have in registers.
CALLING_TRAMPOLINE(direct_trampoline, in_direct_trampoline);

__attribute__((noinline)) static int caller_of_hooked(int value) {
  STOP;  // caller
  const int result = hooked_function(value);
  STOP;  // returned
  return result + 1;
}

__attribute__((noinline)) static void stop_in_kind(const struct DispatchKind* kind) {
  const struct DispatchClients clients = {
      .general = {on_entry, on_probe_entry, on_probe_exit},
      .vectors = {on_entry, on_probe_entry, on_probe_exit},
      .set_ip = set_ip,
      .override_return = override_return,
      .direct = direct_trampoline,
      .replacement = (const void*)replacement,
  };
  ct_ops* ops[kMostDispatchClients];
  attach_kind(kind, (uintptr_t)hooked_function, &clients, ops);
  bodies = 0;
  clients_at_work = kind->clients;
  // The second call finds all made that the first one makes.
  for (int i = 0; i < 2; ++i) CHECK_EQUAL(caller_of_hooked(7), 9);
  CHECK_EQUAL(bodies, is_overridden(kind) ? 0 : 2);
  detach_kind(kind, ops, 2);
}

TEST(stop_in_each_kind) {
  for_each_dispatch_kind(stop_in_kind);
  clients_at_work = NULL;  // after the call: it is in backtraces
}
