// What a client is not attached to though nothing has failed: modules that are loaded later, and functions
// that cannot be patched.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>

#include "check.h"

HOOKED int patchable(int value) { return value + 1; }
HOOKED __attribute__((patchable_function_entry(1, 1))) int unpatchable(void) { return 100; }
HOOKED __attribute__((patchable_function_entry(1, 1))) int other_unpatchable(void) { return 200; }

static int replaced_by_first(int value) { return value + 1000; }
static int replaced_by_second(int value) { return value + 2000; }

static int (*load(void** module))(int) {
  *module = dlopen("libcoming_a.so", RTLD_NOW);
  if (*module == NULL) fprintf(stderr, "  %s\n", dlerror()), exit(1);
  return (int (*)(int))dlsym(*module, "coming_work");
}

static ct_ops* waiting(const char* name, const char* pattern) {
  ct_ops* ops = ct_new_ops(NULL, CT_ALLOW_NO_MATCH);
  ct_set_name(ops, name);
  CHECK_OK(ct_set_filter(ops, pattern, 0));
  return ops;
}

TEST(the_first_registered_gets_the_module_and_the_other_says_why_not) {
  ct_ops* second = waiting("second", "coming_*");  // made first, registered second
  ct_ops* first = waiting("first", "coming_work");
  CHECK_OK(ct_register_redirect(first, (void*)replaced_by_first));
  CHECK_OK(ct_register_redirect(second, (void*)replaced_by_second));
  char text[300] = "x";
  CHECK_EQUAL(ct_ops_failed_modules(second, text, sizeof text), 0);
  CHECK_EQUAL(text[0], 0);

  void* module;
  int (*work)(int) = load(&module);
  CHECK_EQUAL(work(1), 1001);
  CHECK_EQUAL(ct_ops_functions(first), 1);
  CHECK_EQUAL(ct_ops_functions(second), 0);  // nor coming_other_work
  CHECK_EQUAL(ct_ops_failed_modules(first, text, sizeof text), 0);
  CHECK_EQUAL(ct_ops_failed_modules(second, text, sizeof text), 1);
  CHECK_TEXT(text, "libcoming_a.so: 'coming_work': a function has a redirect already");
  CHECK_TEXT(text, "the ops 'first'");
  CHECK_EQUAL(ct_ops_failed_modules(second, NULL, 0), 1);
  CHECK_EQUAL(ct_ops_failed_modules(NULL, text, sizeof text), 0);

  CHECK_OK(ct_free_ops(first));
  CHECK_EQUAL(work(1), 2);
  CHECK_OK(ct_disable_ops(second));
  CHECK_EQUAL(ct_ops_failed_modules(second, NULL, 0), 1);
  CHECK_OK(ct_enable_ops(second));  // tries again
  CHECK_EQUAL(work(1), 2001);
  CHECK_EQUAL(ct_ops_failed_modules(second, text, sizeof text), 0);
  CHECK_EQUAL(text[0], 0);
  CHECK_OK(ct_unregister_redirect(second));
  CHECK_OK(ct_register_redirect(second, (void*)replaced_by_second));
  CHECK_EQUAL(ct_ops_failed_modules(second, text, sizeof text), 0);
  CHECK_OK(ct_free_ops(second));
  CHECK_EQUAL(dlclose(module), 0);
}

// The count is of modules that are there, and that the client is not attached to.
TEST(a_failed_module_counts_until_it_is_unloaded_or_attached_to) {
  ct_ops* first = waiting("first", "coming_work");
  ct_ops* second = waiting("second", "coming_work");
  CHECK_OK(ct_register_redirect(first, (void*)replaced_by_first));
  CHECK_OK(ct_register_redirect(second, (void*)replaced_by_second));
  char text[300];
  for (int round = 0; round < 3; ++round) {
    void* a;
    load(&a);
    void* b = dlopen("libcoming_b.so", RTLD_NOW);
    CHECK_EQUAL(ct_ops_failed_modules(second, text, sizeof text), 2);
    CHECK_TEXT(text, "libcoming_b.so: ");
    CHECK_EQUAL(dlclose(b), 0);
    CHECK_EQUAL(ct_ops_failed_modules(second, text, sizeof text), 1);
    CHECK_TEXT(text, "libcoming_a.so: ");
    CHECK_FAILS(ct_set_filter(second, "*coming_work", 1), EBUSY, "'first'");
    CHECK_EQUAL(ct_ops_failed_modules(second, NULL, 0), 1);
    if (round == 0) {
      CHECK_EQUAL(dlclose(a), 0);
    } else if (round == 1) {
      CHECK_OK(ct_set_filter(second, "coming_other_work", 1));
      CHECK_EQUAL(ct_ops_functions(second), 1);
      CHECK_EQUAL(ct_ops_failed_modules(second, text, sizeof text), 0);
      CHECK_EQUAL(dlclose(a), 0);
      CHECK_OK(ct_set_filter(second, "coming_work", 1));
    } else {
      CHECK_OK(ct_disable_ops(first));
      CHECK_OK(ct_set_filter(second, "coming_work", 1));
    }
    CHECK_EQUAL(ct_ops_failed_modules(second, text, sizeof text), 0);
    CHECK_EQUAL(text[0], 0);
  }
  CHECK_FAILS(ct_enable_ops(first), EBUSY, "'second'");
}

// What could not be had while the switch was off is as if it had been on.
TEST(modules_that_come_while_the_switch_is_off_are_for_the_first_registered) {
  ct_ops* ops[3];
  for (int i = 0; i < 3; ++i) {
    static const char* const kNames[] = {"first", "second", "third"};
    ops[i] = ct_new_ops(NULL, CT_ALLOW_NO_MATCH | CT_NOT_PERMANENT);
    CHECK_OK(ct_set_name(ops[i], kNames[i]));
    CHECK_OK(ct_set_filter(ops[i], i == 2 ? "coming_other_work" : "coming_*work", 0));
  }
  CHECK_OK(ct_register_redirect(ops[0], (void*)replaced_by_first));
  CHECK_OK(ct_set_enabled(0));
  CHECK_OK(ct_register_redirect(ops[1], (void*)replaced_by_second));
  void* module;
  int (*work)(int) = load(&module);
  CHECK_EQUAL(work(1), 2);
  char text[300];
  CHECK_EQUAL(ct_ops_failed_modules(ops[1], text, sizeof text), 1);
  CHECK_TEXT(text, "libcoming_a.so: 'coming_work': a function has a redirect already");
  CHECK_TEXT(text, "the ops 'first'");
  CHECK_FAILS(ct_register_redirect(ops[2], (void*)replaced_by_second), EBUSY, "'first'");
  for (int round = 0; round < 2; ++round) {
    CHECK_OK(ct_set_enabled(1));
    CHECK_EQUAL(work(1), 1001);
    CHECK_EQUAL(ct_ops_functions(ops[0]), 2);
    CHECK_EQUAL(ct_ops_functions(ops[1]), 0);
    CHECK_EQUAL(ct_ops_failed_modules(ops[1], NULL, 0), 1);
    CHECK_OK(ct_set_enabled(0));
  }
  // Free again, but nobody has asked for it.
  CHECK_OK(ct_free_ops(ops[0]));
  CHECK_OK(ct_register_redirect(ops[2], (void*)replaced_by_second));
  CHECK_OK(ct_set_enabled(1));
  CHECK_EQUAL(work(1), 2);
  CHECK_EQUAL(ct_ops_functions(ops[2]), 1);
  CHECK_EQUAL(ct_ops_failed_modules(ops[1], NULL, 0), 1);
  CHECK_OK(ct_free_ops(ops[2]));
  CHECK_OK(ct_set_filter(ops[1], "coming_*work", 1));
  CHECK_EQUAL(work(1), 2001);
  CHECK_EQUAL(ct_ops_failed_modules(ops[1], NULL, 0), 0);
}

static unsigned calls;
static void count_call(uint64_t ip, uint64_t parent_ip, ct_ops* ops, ct_regs* regs) {
  (void)ip, (void)parent_ip, (void)ops, (void)regs;
  ++calls;
}

TEST(functions_that_cannot_be_patched_are_counted_with_the_first_reason) {
  ct_ops* ops = ct_new_callback(count_call, NULL, 0);
  char text[300] = "x";
  CHECK_EQUAL(ct_ops_refused_functions(ops, text, sizeof text), 0);
  CHECK_EQUAL(text[0], 0);
  CHECK_OK(ct_set_filter(ops, "*patchable", 0));
  CHECK_OK(ct_register_ops(ops));
  CHECK_EQUAL(ct_ops_functions(ops), 1);
  CHECK_EQUAL(patchable(1) + unpatchable() + other_unpatchable(), 302);
  CHECK_EQUAL(calls, 1);
  CHECK_EQUAL(ct_ops_refused_functions(ops, text, sizeof text), 2);
  CHECK_TEXT(text, "late_failures: '");
  CHECK_TEXT(text, "unpatchable': ");
  CHECK_TEXT(text, "too few NOPs");
  CHECK_TEXT(text, "(code: ");
  CHECK_EQUAL(ct_ops_refused_functions(ops, NULL, 0), 2);
  CHECK_EQUAL(ct_ops_refused_functions(NULL, text, sizeof text), 0);
  CHECK_EQUAL(text[0], 0);

  // It is about the filter that is in force.
  CHECK_OK(ct_set_notrace(ops, "other*", 0));
  CHECK_EQUAL(ct_ops_refused_functions(ops, text, sizeof text), 1);
  CHECK_TEXT(text, "'unpatchable'");
  CHECK_FAILS(ct_set_filter(ops, "no_such_function", 1), ENOENT, "no_such_function");
  CHECK_EQUAL(ct_ops_refused_functions(ops, NULL, 0), 1);
  CHECK_OK(ct_disable_ops(ops));
  CHECK_OK(ct_enable_ops(ops));
  CHECK_EQUAL(ct_ops_refused_functions(ops, NULL, 0), 1);
  CHECK_OK(ct_set_filter(ops, "patchable", 1));
  CHECK_EQUAL(ct_ops_refused_functions(ops, text, sizeof text), 0);
  CHECK_EQUAL(text[0], 0);
  CHECK_OK(ct_free_ops(ops));
}

TEST(functions_of_later_modules_that_cannot_be_patched_are_counted) {
  ct_ops* ops = ct_new_callback(count_call, NULL, 0);
  ct_ops* waiting_ops = ct_new_callback(count_call, NULL, CT_ALLOW_NO_MATCH);
  CHECK_OK(ct_set_filter(ops, "*patchable", 0));
  CHECK_OK(ct_set_filter(waiting_ops, "coming_unpatchable", 0));
  CHECK_OK(ct_register_ops(ops));
  CHECK_OK(ct_register_ops(waiting_ops));
  CHECK_EQUAL(ct_ops_refused_functions(waiting_ops, NULL, 0), 0);
  void* module;
  load(&module);
  char text[300] = "x";
  CHECK_EQUAL(ct_ops_refused_functions(ops, text, sizeof text), 3);
  CHECK_TEXT(text, "late_failures: '");  // still the first
  CHECK_EQUAL(ct_ops_failed_modules(ops, NULL, 0), 0);
  CHECK_EQUAL(ct_ops_refused_functions(waiting_ops, text, sizeof text), 1);
  CHECK_TEXT(text, "libcoming_a.so: 'coming_unpatchable': ");
  CHECK_OK(ct_free_ops(ops));
  CHECK_OK(ct_free_ops(waiting_ops));
}

TEST(a_new_client_has_none_of_the_failures_of_a_freed_one) {
  ct_ops* first = waiting("first", "coming_work");
  ct_ops* second = waiting("second", "coming_*");
  CHECK_OK(ct_register_redirect(first, (void*)replaced_by_first));
  CHECK_OK(ct_register_redirect(second, (void*)replaced_by_second));
  ct_ops* seeing = ct_new_callback(count_call, NULL, 0);
  CHECK_OK(ct_set_filter(seeing, "*patchable", 0));
  CHECK_OK(ct_register_ops(seeing));
  void* module;
  load(&module);
  CHECK_EQUAL(ct_ops_failed_modules(second, NULL, 0), 1);
  CHECK_EQUAL(ct_ops_refused_functions(seeing, NULL, 0), 3);
  CHECK_OK(ct_free_ops(second));
  CHECK_OK(ct_free_ops(seeing));
  for (int i = 0; i < 2; ++i) {  // in the same memory
    ct_ops* ops = ct_new_callback(count_call, NULL, 0);
    CHECK(ops == second || ops == seeing);
    CHECK_EQUAL(ct_ops_failed_modules(ops, NULL, 0), 0);
    CHECK_EQUAL(ct_ops_refused_functions(ops, NULL, 0), 0);
  }
}
