// A text says whose mistake it is: which pattern, which other ops, which function with which code.
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "check.h"
#include "trampolines.h"

HOOKED int work(int value) { return value + 1; }
HOOKED int overwritten(int value) { return value + 2; }
HOOKED __attribute__((patchable_function_entry(1, 1))) int unpatchable(void) { return 100; }
__attribute__((patchable_function_entry(0, 0), noinline)) static int without_site(void) { return 1000; }
static int replacement(int value) { return value; }

DIRECT_TRAMPOLINE(count_direct, direct_calls);

static void on_call(uint64_t ip, uint64_t parent_ip, ct_ops* ops, ct_regs* regs) {
  (void)ip, (void)parent_ip, (void)ops, (void)regs;
}
static int on_entry(uint64_t ip, uint64_t parent_ip, ct_ops* ops, ct_regs* regs, void* data) {
  (void)ip, (void)parent_ip, (void)ops, (void)regs, (void)data;
  return 0;
}
static void on_exit_of_call(uint64_t ip, uint64_t parent_ip, ct_ops* ops, ct_regs* regs, void* data) {
  (void)ip, (void)parent_ip, (void)ops, (void)regs, (void)data;
}

static ct_ops* filtered(ct_ops* ops, const char* pattern) {
  CHECK_OK(ct_set_filter(ops, pattern, 0));
  return ops;
}

TEST(what_matches_no_function_is_repeated) {
  ct_ops* ops = filtered(ct_new_callback(on_call, NULL, 0), "no_such_*");
  CHECK_FAILS(ct_register_ops(ops), ENOENT, "'no_such_*': no function matches");
  CHECK_OK(ct_set_filter(ops, "!no_such_one", 0));
  CHECK_OK(ct_set_notrace(ops, "hidden", 0));
  CHECK_FAILS(ct_register_ops(ops), ENOENT, "'no_such_*, !no_such_one, not hidden': no function matches");
  char pattern[300];
  memset(pattern, 'x', sizeof pattern - 1);
  pattern[sizeof pattern - 1] = '\0';
  CHECK_OK(ct_set_filter(ops, pattern, 1));
  CHECK_FAILS(ct_register_ops(ops), ENOENT, "xxx...': no function matches");
}

TEST(what_was_meant_is_suggested) {
  ct_ops* ops = filtered(ct_new_callback(on_call, NULL, 0), "wrok");
  CHECK_FAILS(ct_register_ops(ops), ENOENT, "'wrok': no function matches; did you mean work?");
  CHECK_OK(ct_set_filter(ops, "no_such_module:work", 1));
  CHECK_FAILS(ct_register_ops(ops), ENOENT, "; did you mean work?");
  CHECK_OK(ct_set_filter(ops, "work", 1));  // exists, but is removed
  CHECK_OK(ct_set_filter(ops, "!work", 0));
  CHECK_FAILS(ct_register_ops(ops), ENOENT, "no function matches");
  CHECK(strstr(ct_error_text(), "did you mean") == NULL);
  CHECK_OK(ct_set_filter(ops, "overwriten*", 0));
  CHECK_FAILS(ct_register_ops(ops), ENOENT, "; did you mean overwritten?");
  CHECK_FAILS(ct_set_filter_symbol(ops, "Unpatchabel", 0), ENOENT,
              "'Unpatchabel': no function matches; did you mean unpatchable?");
  CHECK_FAILS(ct_set_filter_symbol(ops, "surely_not_there", 0), ENOENT, "'surely_not_there'");
  CHECK(strstr(ct_error_text(), "did you mean") == NULL);

  CHECK_OK(ct_set_filter(ops, "work", 1));
  CHECK_OK(ct_register_ops(ops));
  CHECK_FAILS(ct_set_filter(ops, "overwritte", 1), ENOENT, "; did you mean overwritten?");
  CHECK_EQUAL(ct_ops_functions(ops), 1);
}

TEST(the_other_ops_is_named) {
  ct_ops* redirect = filtered(ct_new_ops(NULL, 0), "work");
  ct_set_name(redirect, "first");
  CHECK_OK(ct_register_redirect(redirect, (void*)replacement));
  ct_ops* other = filtered(ct_new_ops(NULL, 0), "work");
  CHECK_FAILS(ct_register_redirect(other, (void*)replacement), EBUSY, "'work'");
  CHECK_FAILS(ct_register_redirect(other, (void*)replacement), EBUSY, "the ops 'first'");
  CHECK_FAILS(ct_set_enabled(0), EBUSY, "the ops 'first'");
  ct_ops* direct = filtered(ct_new_ops(NULL, 0), "work");
  CHECK_OK(ct_register_direct(direct, count_direct));
  CHECK_FAILS(ct_register_direct(other, count_direct), EBUSY, "an ops without a name");
}

TEST(a_handler_that_may_set_the_ip_is_told_from_a_redirect) {
  ct_ops* handler = filtered(ct_new_callback(on_call, NULL, CT_IPMODIFY), "work");
  CHECK_OK(ct_set_name(handler, "mover"));
  CHECK_OK(ct_register_ops(handler));
  ct_ops* redirect = filtered(ct_new_ops(NULL, 0), "work");
  ct_ops* other = filtered(ct_new_callback(on_call, NULL, CT_IPMODIFY), "work");
  CHECK_FAILS(ct_register_redirect(redirect, (void*)replacement), EBUSY,
              "a handler with CT_IPMODIFY already, which counts as a redirect");
  CHECK_TEXT(ct_error_text(), "'work'");
  CHECK_TEXT(ct_error_text(), "the ops 'mover'");
  CHECK_FAILS(ct_register_ops(other), EBUSY, "with CT_IPMODIFY already");
  CHECK_OK(ct_free_ops(handler));
  CHECK_OK(ct_register_redirect(redirect, (void*)replacement));
  CHECK_FAILS(ct_register_ops(other), EBUSY, "has a redirect already");
}

static const char* hex(char (*text)[32], uintptr_t value) {
  snprintf(*text, sizeof *text, "0x%lx", (unsigned long)value);
  return *text;
}

TEST(addresses_of_a_filter_are_repeated) {
  char address[32];
  hex(&address, (uintptr_t)work);
  ct_ops* ops = ct_new_callback(on_call, NULL, 0);
  CHECK_OK(ct_set_filter_ip(ops, (uintptr_t)work, 0, 0));
  CHECK_OK(ct_set_notrace(ops, "work", 0));
  CHECK_FAILS(ct_register_ops(ops), ENOENT, "no function matches");
  CHECK_TEXT(ct_error_text(), address);
  CHECK_TEXT(ct_error_text(), ", not work'");
  CHECK_OK(ct_set_notrace(ops, NULL, 1));
  CHECK_OK(ct_set_notrace(ops, "no_such_function", 0));
  CHECK_OK(ct_register_ops(ops));
  CHECK_FAILS(ct_set_filter_ip(ops, (uintptr_t)work, 1, 0), ENOENT,
              "no function matches: all addresses of the filter have been removed or unloaded");
  CHECK(strstr(ct_error_text(), "no_such_function") == NULL);
  CHECK_EQUAL(ct_ops_functions(ops), 1);
  CHECK_OK(ct_unregister_ops(ops));
  CHECK_OK(ct_set_filter_ip(ops, (uintptr_t)work, 1, 0));
  CHECK_FAILS(ct_register_ops(ops), ENOENT, "all addresses of the filter have been removed");
}

TEST(addresses_that_are_no_entries_are_told_apart) {
  ct_ops* ops = ct_new_callback(on_call, NULL, 0);
  char address[32];
  const struct {
    uintptr_t address;
    const char* function;
    const char* reason;
  } wrong[] = {
      {(uintptr_t)work + 1, "'work+0x1': ", "inside the function"},
      {(uintptr_t)without_site, "'without_site': ", "compiled without an entry"},
      {(uintptr_t)without_site + 1, "'without_site+0x1': ", "inside the function"},
      {(uintptr_t)strtoul, "'libc.so.6': ", "no function of the module"},
      {(uintptr_t)&direct_calls, "'error_texts", "in the module's data"},
      {(uintptr_t)address, "", "in no module"},
      {1, "", "in no module"},
  };
  for (unsigned i = 0; i < sizeof wrong / sizeof wrong[0]; ++i) {
    CHECK_FAILS(ct_set_filter_ip(ops, wrong[i].address, 0, 0), ENXIO, wrong[i].function);
    CHECK_TEXT(ct_error_text(), wrong[i].reason);
    CHECK_TEXT(ct_error_text(), "not the entry of a function");
    CHECK_TEXT(ct_error_text(), hex(&address, wrong[i].address));
  }
}

TEST(a_function_that_cannot_be_patched_is_named) {
  char address[32];
  snprintf(address, sizeof address, "0x%lx", (unsigned long)(uintptr_t)unpatchable);
  ct_ops* ops = ct_new_callback(on_call, NULL, 0);
  const char* const parts[] = {"'unpatchable'", "too few NOPs", "code: ", address};
  for (unsigned i = 0; i < sizeof parts / sizeof parts[0]; ++i) {
    CHECK_FAILS(ct_set_filter_symbol(ops, "unpatchable", 0), EOPNOTSUPP, parts[i]);
    CHECK_FAILS(ct_set_filter_ip(ops, (uintptr_t)unpatchable, 0, 0), EOPNOTSUPP, parts[i]);
    CHECK_OK(ct_set_filter(ops, "unpatchable", 1));
    CHECK_FAILS(ct_register_ops(ops), EOPNOTSUPP, parts[i]);
  }
}

TEST(code_that_somebody_else_has_changed_is_shown) {
  unsigned char* code = (unsigned char*)overwritten;
  const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
  void* pages = (void*)((uintptr_t)code & ~(page - 1));
  CHECK_EQUAL(mprotect(pages, 2 * page, PROT_READ | PROT_WRITE | PROT_EXEC), 0);
  code[0] = 0xcc, code[1] = 0x0f;
  char address[32];
  snprintf(address, sizeof address, "0x%lx", (unsigned long)(uintptr_t)code);
  const char* const parts[] = {"'overwritten'", "not as in the file", "code: cc 0f", address};
  for (unsigned i = 0; i < sizeof parts / sizeof parts[0]; ++i) {
    ct_ops* ops = ct_new_callback(on_call, NULL, 0);
    CHECK_OK(ct_set_filter_ip(ops, (uintptr_t)code, 0, 0));
    CHECK_FAILS(ct_register_ops(ops), EOPNOTSUPP, parts[i]);
    CHECK_OK(ct_set_filter(ops, "overwritten", 1));
    CHECK_FAILS(ct_register_ops(ops), EOPNOTSUPP, parts[i]);
  }
}

#define CHECK_NOT_MADE(call, part)     \
  do {                                 \
    CHECK((call) == NULL);             \
    CHECK_TEXT(ct_error_text(), part); \
  } while (0)

TEST(invalid_arguments_are_told_apart) {
  CHECK_NOT_MADE(ct_new_callback(on_call, NULL, 0x20), "unknown flags");
  CHECK_NOT_MADE(ct_new_ops(NULL, CT_PERMANENT | CT_NOT_PERMANENT), "exclude each other");
  CHECK_NOT_MADE(ct_new_probe(on_entry, on_exit_of_call, CT_DATA_MAX + 1, NULL, 0), "CT_DATA_MAX");
  CHECK_NOT_MADE(ct_new_probe(on_entry, NULL, 8, NULL, 0), "without an exit handler");
  ct_ops* ops = filtered(ct_new_callback(on_call, NULL, 0), "work");
  CHECK_FAILS(ct_register_direct(ops, count_direct), EINVAL, "has no handlers");
  CHECK_FAILS(ct_register_redirect(ops, (void*)replacement), EINVAL, "has no handlers");
  ops = filtered(ct_new_ops(NULL, CT_IPMODIFY), "work");
  CHECK_FAILS(ct_register_direct(ops, count_direct), EINVAL, "CT_IPMODIFY");
}
