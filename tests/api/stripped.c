// A program without a symbol table: the error says why its functions are not found.
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"

HOOKED int nameless_work(int value) { return value + 1; }

static unsigned calls;
static void count_call(uint64_t ip, uint64_t parent_ip, ct_ops* ops, ct_regs* regs) {
  (void)ip, (void)parent_ip, (void)ops, (void)regs;
  ++calls;
}

static const char kText[] = "no function matches; stripped has no symbol table (stripped)";

TEST(a_name_that_is_not_there_any_more) {
  ct_ops* ops = ct_new_callback(count_call, NULL, 0);
  CHECK_OK(ct_set_filter(ops, "nameless_work", 0));
  CHECK_FAILS(ct_register_ops(ops), ENOENT, kText);
  CHECK_OK(ct_set_filter(ops, "stripped:nameless_*", 1));
  CHECK_FAILS(ct_register_ops(ops), ENOENT, kText);
  CHECK_FAILS(ct_set_filter_symbol(ops, "nameless_work", 0), ENOENT, kText);
}

TEST(a_name_in_a_module_that_is_not_stripped) {
  CHECK(dlopen("libcoming_a.so", RTLD_NOW) != NULL);
  ct_ops* ops = ct_new_callback(count_call, NULL, 0);
  CHECK_OK(ct_set_filter(ops, "libcoming_a:nameless_work", 0));
  CHECK_FAILS(ct_register_ops(ops), ENOENT, "no function matches");
  CHECK(strstr(ct_error_text(), "stripped") == NULL);
  CHECK_OK(ct_set_filter(ops, "coming_work", 1));
  CHECK_OK(ct_register_ops(ops));
}

TEST(without_its_name_a_function_has_its_address) {
  ct_ops* ops = ct_new_callback(count_call, NULL, 0);
  CHECK_OK(ct_set_filter_ip(ops, (uintptr_t)nameless_work, 0, 0));
  CHECK_OK(ct_register_ops(ops));
  CHECK_EQUAL(nameless_work(1), 2);
  CHECK_EQUAL(calls, 1);
  char* text = enabled_functions();
  CHECK_TEXT(text, "stripped+0x");
  CHECK_TEXT(text, " [stripped] (1)");
  free(text);
}
