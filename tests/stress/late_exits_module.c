// Handlers that are unloaded while a call of theirs sleeps.
#include "calltap/calltap.h"

int module_entry(uint64_t ip, uint64_t parent, ct_ops* ops, ct_regs* regs, void* data) {
  (void)ip, (void)parent, (void)ops, (void)regs, (void)data;
  return 0;
}

void module_exit(uint64_t ip, uint64_t parent, ct_ops* ops, ct_regs* regs, void* data) {
  (void)ip, (void)parent, (void)ops, (void)regs, (void)data;
}
