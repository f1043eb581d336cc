// Every register of the contract, poisoned before a call and compared in it and after it, for each way in
// which a site runs its clients. The handlers change everything that a function may change.
#include "../targets/registers_check.h"

#include "check.h"
#include "dispatch_kinds.h"

enum { kRounds = 200 };

extern int dirty_width;  // bytes of a vector register that dirty_everything() changes
// Handlers of any kind.
void dirty_general(void);
void dirty_everything(void);
void dirty_direct(void);

/// calls.h, for registers_check.c: there is no recording to compare with.
void calls_add(const char* name, uint64_t count);
void calls_add(const char* name, uint64_t count) {
  (void)name;
  (void)count;
}

static void set_ip(uint64_t ip, uint64_t parent_ip, ct_ops* ops, ct_regs* regs) {
  (void)ip, (void)parent_ip, (void)ops;
  ct_regs_set_ip(regs, (uint64_t)registers_body);
  dirty_general();
}

static void override_return(uint64_t ip, uint64_t parent_ip, ct_ops* ops, ct_regs* regs) {
  (void)ip, (void)parent_ip, (void)ops;
  ct_regs_override_return(regs, registers_override);
  dirty_general();
}

static const struct DispatchClients kClients = {
    .general = {(ct_callback*)dirty_general, (ct_entry_handler*)dirty_general,
                (ct_exit_handler*)dirty_general},
    .vectors = {(ct_callback*)dirty_everything, (ct_entry_handler*)dirty_everything,
                (ct_exit_handler*)dirty_everything},
    .set_ip = set_ip,
    .override_return = override_return,
    .direct = dirty_direct,
    .replacement = registers_body,
};

static void check_kind(const struct DispatchKind* kind) {
  const struct RegistersContract contract = {0, !is_overridden(kind)};
  unsigned widths[kMostRegistersWidths];
  const unsigned count = registers_widths(widths);
  uint64_t calls = 0;
  ct_ops* ops[kMostDispatchClients];
  attach_kind(kind, (uint64_t)registers_callee, &kClients, ops);
  for (unsigned dirty = 0; dirty < count; ++dirty) {
    for (unsigned used = 0; used < count; ++used) {
      dirty_width = (int)widths[dirty];
      CHECK_EQUAL(registers_wrong(widths[used], kRounds, contract), 0);
      calls += kRounds;
    }
  }
  detach_kind(kind, ops, calls);
}

TEST(handlers_that_change_every_register_disturb_no_call) { for_each_dispatch_kind(check_kind); }
