// Every mistake has a code and a text of its own, and changes nothing.
#define _GNU_SOURCE
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "check.h"
#include "trampolines.h"

HOOKED int attached(void) { return 1; }
HOOKED int other(void) { return 10; }
HOOKED __attribute__((patchable_function_entry(1, 1))) int unpatchable(void) { return 100; }
__attribute__((patchable_function_entry(0, 0), noinline)) static int without_site(void) { return 1000; }

DIRECT_TRAMPOLINE(count_direct, direct_calls);
static int replacement(void) { return 2; }

static unsigned entries;
static void on_call(uint64_t ip, uint64_t parent_ip, ct_ops* ops, ct_regs* regs) {
  (void)ip, (void)parent_ip, (void)ops, (void)regs;
  ++entries;
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

// A client that is there before and after the mistake.
static ct_ops* resident;
static char* before;

static void begin(void) {
  resident = filtered(ct_new_callback(on_call, NULL, 0), "attached");
  ct_set_name(resident, "resident");
  CHECK_OK(ct_register_ops(resident));
  before = enabled_functions();
  CHECK_TEXT(before, "attached [");
}

static void end(void) {
  char* after = enabled_functions();
  CHECK_EQUAL(strcmp(before, after), 0);
  const unsigned entries_before = entries;
  CHECK_EQUAL(attached() + other(), 11);
  CHECK_EQUAL(entries - entries_before, 1);
  CHECK_EQUAL(direct_calls, 0);
  CHECK_OK(ct_free_ops(resident));
  CHECK_EQUAL(attached(), 1);
  CHECK_EQUAL(entries - entries_before, 1);
  free(before), free(after);
}

TEST(unknown_function) {
  begin();
  ct_ops* ops = filtered(ct_new_callback(on_call, NULL, 0), "no_such_function");
  CHECK_FAILS(ct_register_ops(ops), ENOENT, "match");
  CHECK_FAILS(ct_set_filter_symbol(ops, "no_such_symbol", 0), ENOENT, "no_such_symbol");
  ct_ops* direct = filtered(ct_new_ops(NULL, 0), "no_such_function");
  CHECK_FAILS(ct_register_direct(direct, count_direct), ENOENT, "match");
  CHECK_FAILS(ct_register_redirect(direct, (void*)replacement), ENOENT, "match");
  CHECK_FAILS(ct_set_filter(resident, "no_such_function", 1), ENOENT, "match");
  end();
}

TEST(no_filter_for_direct_calls_and_redirects) {
  begin();
  ct_ops* ops = ct_new_ops(NULL, 0);
  CHECK_FAILS(ct_register_direct(ops, count_direct), EINVAL, "filter");
  CHECK_FAILS(ct_register_redirect(ops, (void*)replacement), EINVAL, "filter");
  end();
}

// Naming what to leave out is no filter: all else would be changed.
static void check_nothing_selected(void (*leave_out)(ct_ops*)) {
  begin();
  ct_ops* ops = ct_new_ops(NULL, 0);
  leave_out(ops);
  CHECK_FAILS(ct_register_direct(ops, count_direct), EINVAL, "begins with what to leave out");
  CHECK_FAILS(ct_register_redirect(ops, (void*)replacement), EINVAL, "begins with what to leave out");
  ct_ops* handler = ct_new_callback(on_call, NULL, CT_IPMODIFY);
  leave_out(handler);
  CHECK_FAILS(ct_register_ops(handler), EINVAL, "begins with what to leave out");
  CHECK_OK(ct_set_filter(ops, "other", 1));
  CHECK_OK(ct_register_direct(ops, count_direct));
  CHECK_EQUAL(ct_ops_functions(ops), 1);
  CHECK_FAILS(ct_set_filter(ops, NULL, 1), EINVAL, "needs a filter");
  CHECK_FAILS(ct_set_filter(ops, "!attached", 1), EINVAL, "begins with what to leave out");
  CHECK_EQUAL(ct_ops_functions(ops), 1);
  CHECK_OK(ct_free_ops(ops));
  end();
}
static void leave_out_by_notrace(ct_ops* ops) { CHECK_OK(ct_set_notrace(ops, "attached", 0)); }
static void leave_out_by_pattern(ct_ops* ops) { CHECK_OK(ct_set_filter(ops, "!attached", 0)); }
// The first pattern decides: all but one, and that one too.
static void leave_out_first(ct_ops* ops) {
  CHECK_OK(ct_set_filter(ops, "!attached", 0));
  CHECK_OK(ct_set_filter(ops, "attached", 0));
}
static void leave_out_by_address(ct_ops* ops) { CHECK_OK(ct_set_filter_ip(ops, (uintptr_t)attached, 1, 0)); }
TEST(only_notrace_for_direct_calls_and_redirects) { check_nothing_selected(leave_out_by_notrace); }
TEST(only_all_but_for_direct_calls_and_redirects) { check_nothing_selected(leave_out_by_pattern); }
TEST(all_but_comes_first_for_direct_calls_and_redirects) { check_nothing_selected(leave_out_first); }
TEST(only_a_removed_address_for_direct_calls_and_redirects) { check_nothing_selected(leave_out_by_address); }

TEST(addresses_that_are_no_functions_entries) {
  begin();
  ct_ops* ops = ct_new_callback(on_call, NULL, 0);
  void* heap = malloc(64);
  int on_stack;
  char expected[32];
  const uint64_t addresses[] = {
      (uintptr_t)attached + 1,
      (uintptr_t)attached - 1,
      (uintptr_t)heap,
      (uintptr_t)&on_stack,
      (uintptr_t)pthread_create,
      (uintptr_t)without_site,
      (uintptr_t)count_direct,
      0,
      1,
      ~(uint64_t)0,
  };
  for (unsigned i = 0; i < sizeof addresses / sizeof addresses[0]; ++i) {
    snprintf(expected, sizeof expected, "0x%llx", (unsigned long long)addresses[i]);
    CHECK_FAILS(ct_set_filter_ip(ops, addresses[i], 0, 0), ENXIO, addresses[i] > 1 ? expected : "");
    CHECK_FAILS(ct_set_filter_ip(resident, addresses[i], 0, 1), ENXIO, "");
  }
  CHECK_EQUAL(without_site(), 1000);
  free(heap);
  end();
}

TEST(a_site_that_cannot_be_patched) {
  begin();
  ct_ops* ops = ct_new_callback(on_call, NULL, 0);
  CHECK_FAILS(ct_set_filter_symbol(ops, "unpatchable", 0), EOPNOTSUPP, "too few NOPs");
  CHECK_FAILS(ct_set_filter_ip(ops, (uintptr_t)unpatchable, 0, 0), EOPNOTSUPP, "too few NOPs");
  // Among others that match it is left out.
  CHECK_OK(ct_set_filter(ops, "unpatchable", 0));
  CHECK_FAILS(ct_register_ops(ops), EOPNOTSUPP, "");
  CHECK_OK(ct_set_filter(ops, "other", 0));
  CHECK_OK(ct_register_ops(ops));
  CHECK_EQUAL(ct_ops_functions(ops), 1);
  CHECK_EQUAL(unpatchable(), 100);
  CHECK_OK(ct_free_ops(ops));
  end();
}

TEST(trampolines_that_are_no_executable_memory) {
  begin();
  ct_ops* ops = filtered(ct_new_ops(NULL, 0), "other");
  void* unmapped = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  munmap(unmapped, 4096);
  const void* targets[] = {NULL, &entries, before, unmapped, (void*)~(uintptr_t)0};
  for (unsigned i = 0; i < sizeof targets / sizeof targets[0]; ++i) {
    CHECK_FAILS(ct_register_direct(ops, targets[i]), EACCES, "executable");
    CHECK_FAILS(ct_register_redirect(ops, targets[i]), EACCES, "executable");
  }
  CHECK_OK(ct_free_ops(ops));
  end();
}

TEST(registering_twice) {
  begin();
  CHECK_FAILS(ct_register_ops(resident), EEXIST, "registered already");
  CHECK_OK(ct_disable_ops(resident));
  CHECK_FAILS(ct_register_ops(resident), EEXIST, "registered already");
  CHECK_OK(ct_enable_ops(resident));
  CHECK_FAILS(ct_register_direct(resident, count_direct), EEXIST, "registered already");
  CHECK_FAILS(ct_register_redirect(resident, (void*)replacement), EEXIST, "registered already");
  end();
  ct_ops* direct = filtered(ct_new_ops(NULL, 0), "other");
  CHECK_OK(ct_register_direct(direct, count_direct));
  CHECK_FAILS(ct_register_direct(direct, count_direct), EEXIST, "registered already");
  CHECK_FAILS(ct_register_ops(direct), EEXIST, "registered already");
  other();
  CHECK_EQUAL(direct_calls, 1);
}

TEST(unregistering_what_is_not_registered) {
  begin();
  ct_ops* ops = filtered(ct_new_callback(on_call, NULL, 0), "attached");
  CHECK_FAILS(ct_unregister_ops(ops), ESRCH, "not registered");
  CHECK_FAILS(ct_disable_ops(ops), ESRCH, "not registered");
  CHECK_FAILS(ct_enable_ops(ops), ESRCH, "not registered");
  CHECK_FAILS(ct_unregister_direct(ops), ESRCH, "not registered");
  CHECK_FAILS(ct_unregister_redirect(ops), ESRCH, "not registered");
  CHECK_FAILS(ct_unregister_direct(resident), EINVAL, "another kind: it has handlers");
  CHECK_FAILS(ct_unregister_redirect(resident), EINVAL, "another kind: it has handlers");
  CHECK_OK(ct_free_ops(ops));
  CHECK_OK(ct_free_ops(NULL));
  end();
}

#define CHECK_NOT_MADE(call, part)     \
  do {                                 \
    CHECK((call) == NULL);             \
    CHECK_TEXT(ct_error_text(), part); \
  } while (0)

TEST(what_is_not_made) {
  begin();
  CHECK_NOT_MADE(ct_new_callback(NULL, NULL, 0), "handler");
  CHECK_NOT_MADE(ct_new_probe(NULL, NULL, 0, NULL, 0), "handler");
  CHECK_NOT_MADE(ct_new_callback(on_call, NULL, 0x20), "argument");
  CHECK_NOT_MADE(ct_new_callback(on_call, NULL, ~0U), "argument");
  CHECK_NOT_MADE(ct_new_callback(on_call, NULL, CT_PERMANENT | CT_NOT_PERMANENT), "argument");
  CHECK_NOT_MADE(ct_new_ops(NULL, 0x80000000u), "argument");
  CHECK_NOT_MADE(ct_new_probe(on_entry, on_exit_of_call, CT_DATA_MAX + 1, NULL, 0), "argument");
  CHECK_NOT_MADE(ct_new_probe(on_entry, NULL, 8, NULL, 0), "argument");
  CHECK(ct_new_probe(on_entry, on_exit_of_call, CT_DATA_MAX, NULL, 0) != NULL);
  end();
}

TEST(an_ops_without_handlers) {
  begin();
  ct_ops* ops = filtered(ct_new_ops(NULL, 0), "other");
  CHECK_FAILS(ct_register_ops(ops), EINVAL, "handler");
  CHECK_OK(ct_free_ops(ops));
  end();
}

TEST(names_that_would_break_lines) {
  begin();
  const char* const names[] = {"two\nlines", "\n", "tab\t", "\x1b[31m", "\x7f"};
  for (unsigned i = 0; i < sizeof names / sizeof names[0]; ++i) {
    CHECK_FAILS(ct_set_name(resident, names[i]), EINVAL, "control characters");
  }
  end();
  ct_ops* ops = filtered(ct_new_callback(on_call, NULL, 0), "other");
  CHECK_OK(ct_set_name(ops, "caf\xc3\xa9 two"));
  CHECK_OK(ct_register_ops(ops));
  CHECK_TEXT(enabled_line("other"), " caf\xc3\xa9 two");
  CHECK_OK(ct_set_name(ops, NULL));
  CHECK_TEXT(enabled_line("other"), " -");
  CHECK_FAILS(ct_set_name(NULL, "name"), EINVAL, "NULL");
  CHECK_OK(ct_free_ops(ops));
  CHECK_FAILS(ct_set_name(ops, "name"), EINVAL, "freed");
}

TEST(more_clients_than_there_can_be) {
  begin();
  unsigned made = 0;
  while (made < 100000 && ct_new_callback(on_call, NULL, 0) != NULL) ++made;
  CHECK_EQUAL(made, 4094);  // one place is for lists, one is the resident
  CHECK_TEXT(ct_error_text(), "memory");
  end();
}

static void* read_error_text(void* argument) {
  (void)argument;
  return strdup(ct_error_text());
}

TEST(the_error_text_belongs_to_the_thread_whose_call_failed) {
  ct_ops* ops = ct_new_ops(NULL, 0);
  CHECK_FAILS(ct_register_ops(ops), EINVAL, "ct_register_ops");
  char* text = NULL;
  pthread_t thread;
  CHECK_EQUAL(pthread_create(&thread, NULL, read_error_text, NULL), 0);
  pthread_join(thread, (void**)&text);
  CHECK_EQUAL(strlen(text), 0);
  free(text);
}
