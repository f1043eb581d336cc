// A module that is loaded later, and a client that cannot be attached to it.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>

#include "check.h"

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
  CHECK_OK(ct_enable_ops(second));  // tries again
  CHECK_EQUAL(work(1), 2001);
  CHECK_EQUAL(ct_ops_failed_modules(second, NULL, 0), 1);
  CHECK_OK(ct_unregister_redirect(second));
  CHECK_OK(ct_register_redirect(second, (void*)replaced_by_second));
  CHECK_EQUAL(ct_ops_failed_modules(second, text, sizeof text), 0);
  CHECK_OK(ct_free_ops(second));
  CHECK_EQUAL(dlclose(module), 0);
}
