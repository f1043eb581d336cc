// Which sites get CALL_OPS: a function's first client decides, unless CALLTAP_CALL_OPS does.
#include <stdlib.h>
#include <string.h>

#include "call_site.h"
#include "check.h"
#include "trampolines.h"

#define FUNCTION(name)    \
  HOOKED int name(void) { \
    __asm__ volatile(""); \
    return 1;             \
  }
FUNCTION(with_callback)
FUNCTION(with_callbacks)
FUNCTION(with_direct)
FUNCTION(with_probe)
FUNCTION(with_redirect)
FUNCTION(with_ipmodify)

DIRECT_TRAMPOLINE(count_direct, direct_calls);

static unsigned entries;

static void on_call(uint64_t ip, uint64_t parent_ip, ct_ops* ops, ct_regs* regs) {
  (void)ip, (void)parent_ip, (void)ops, (void)regs;
  ++entries;
}

static void on_exit_of_call(uint64_t ip, uint64_t parent_ip, ct_ops* ops, ct_regs* regs, void* data) {
  (void)data;
  on_call(ip, parent_ip, ops, regs);
}

static int replacement(void) { return 1; }

// Which is what CALLTAP_CALL_OPS says, if it says something.
static int calls(int by_default) {
  const char* const use = getenv("CALLTAP_CALL_OPS");
  if (use == NULL) return by_default;
  return strcmp(use, "0") != 0;
}

static ct_ops* of(const char* name, ct_ops* ops) {
  CHECK_OK(ct_set_filter_symbol(ops, name, 0));
  return ops;
}

static ct_ops* callback_of(const char* name, unsigned flags) {
  ct_ops* ops = of(name, ct_new_callback(on_call, NULL, flags));
  CHECK_OK(ct_register_ops(ops));
  return ops;
}

static void check_site(int function(void), int by_default) {
  CHECK_EQUAL(is_prepared((void*)function), calls(by_default));
  CHECK_EQUAL(function(), 1);
}

TEST(entry_handlers_and_direct_calls_are_called) {
  ct_ops* one = callback_of("with_callback", 0);
  check_site(with_callback, 1);
  ct_ops* two[] = {callback_of("with_callbacks", CT_GENERAL_REGS_ONLY), callback_of("with_callbacks", 0)};
  check_site(with_callbacks, 1);
  CHECK_EQUAL(entries, 3);
  ct_ops* direct = of("with_direct", ct_new_ops(NULL, 0));
  CHECK_OK(ct_register_direct(direct, count_direct));
  check_site(with_direct, 1);
  CHECK_EQUAL(direct_calls, 1);
  CHECK_OK(ct_free_ops(one));
  CHECK_OK(ct_free_ops(two[0]));
  CHECK_OK(ct_free_ops(two[1]));
  CHECK_OK(ct_free_ops(direct));
  check_site(with_callback, 1);  // it stays
}

TEST(what_is_called_around_or_replaced_is_jumped_to) {
  ct_ops* probe = of("with_probe", ct_new_probe(NULL, on_exit_of_call, 0, NULL, 0));
  CHECK_OK(ct_register_ops(probe));
  check_site(with_probe, 0);
  CHECK_EQUAL(entries, 1);
  ct_ops* redirect = of("with_redirect", ct_new_ops(NULL, 0));
  CHECK_OK(ct_register_redirect(redirect, (void*)replacement));
  check_site(with_redirect, 0);
  ct_ops* ipmodify = callback_of("with_ipmodify", CT_IPMODIFY);
  check_site(with_ipmodify, 0);
  CHECK_OK(ct_free_ops(probe));
  CHECK_OK(ct_free_ops(redirect));
  CHECK_OK(ct_free_ops(ipmodify));
  // Who comes later finds what is there.
  ct_ops* later = callback_of("with_probe", 0);
  check_site(with_probe, 0);
  CHECK_OK(ct_free_ops(later));
}
