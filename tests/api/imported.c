// In a program linked without -pie the address of a library's function is that of the program's own jump to
// it. All that takes an address means the function.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "trampolines.h"

int imported_work(int value);
int imported_other(int value);
int (*address_of_work(void))(int);
HOOKED int own_work(int value) { return value + 10; }

DIRECT_TRAMPOLINE(count_direct, direct_calls);

static unsigned calls;
static uint64_t seen_ip;
static void on_call(uint64_t ip, uint64_t parent_ip, ct_ops* ops, ct_regs* regs) {
  (void)parent_ip, (void)ops, (void)regs;
  ++calls;
  seen_ip = ip;
}

// Where the function is, and not the jump.
static uintptr_t place_of(const char* function) {
  void* library = dlopen("libimported.so", RTLD_NOW | RTLD_NOLOAD);
  CHECK(library != NULL);
  return (uintptr_t)dlsym(library, function);
}
static uintptr_t place_of_work(void) {
  const uintptr_t place = place_of("imported_work");
  CHECK(place != (uintptr_t)imported_work);
  CHECK(address_of_work() == imported_work);  // the library itself sees the jump
  return place;
}

TEST(a_filter_of_the_address_means_the_function) {
  ct_ops* ops = ct_new_callback(on_call, NULL, 0);
  CHECK_OK(ct_set_filter_ip(ops, (uintptr_t)imported_work, 0, 0));
  CHECK_OK(ct_register_ops(ops));
  CHECK_EQUAL(ct_ops_functions(ops), 1);
  CHECK_EQUAL(imported_work(1) + imported_other(1) + own_work(1), 2 + 3 + 11);
  CHECK_EQUAL(calls, 1);
  CHECK_EQUAL(seen_ip, place_of_work());
  CHECK_TEXT(enabled_line("imported_work"), "[libimported.so] (1)");

  CHECK_OK(ct_set_filter(ops, "imported_*", 1));
  CHECK_EQUAL(ct_ops_functions(ops), 2);
  CHECK_OK(ct_set_filter_ip(ops, (uintptr_t)imported_work, 1, 0));
  CHECK_EQUAL(ct_ops_functions(ops), 1);
  CHECK_OK(ct_set_filter_ip(ops, place_of_work(), 0, 1));  // the address itself means the same
  CHECK_OK(ct_set_filter_ip(ops, (uintptr_t)own_work, 0, 0));
  CHECK_EQUAL(ct_ops_functions(ops), 2);
  calls = 0;
  CHECK_EQUAL(imported_work(1) + imported_other(1) + own_work(1), 2 + 3 + 11);
  CHECK_EQUAL(calls, 2);
}

static int times_original(int value) {
  int (*original)(int);
  *(void**)&original = ct_original((void*)imported_work);
  return original == NULL ? -1 : 100 * original(value);
}

TEST(a_replacement_finds_the_original) {
  CHECK(ct_original((void*)imported_work) == NULL);
  ct_ops* ops = ct_new_ops(NULL, 0);
  CHECK_OK(ct_set_filter_ip(ops, (uintptr_t)imported_work, 0, 0));
  CHECK_OK(ct_register_redirect(ops, (void*)times_original));
  for (int i = 0; i < 3; ++i) CHECK_EQUAL(imported_work(i), 100 * (i + 1));
  CHECK(ct_original((void*)imported_work) == ct_original((void*)place_of_work()));
  CHECK(ct_original((void*)imported_other) == NULL);
  CHECK_OK(ct_unregister_redirect(ops));
  CHECK_EQUAL(imported_work(1), 2);
}

TEST(a_function_is_its_own_target_under_each_of_its_addresses) {
  ct_ops* ops = ct_new_ops(NULL, 0);
  CHECK_OK(ct_set_filter(ops, "imported_work", 0));
  CHECK_FAILS(ct_register_redirect(ops, (void*)imported_work), EINVAL, "its own trampoline or replacement");
  CHECK_FAILS(ct_register_redirect(ops, (void*)place_of_work()), EINVAL, "its own trampoline or replacement");
  CHECK_OK(ct_register_redirect(ops, (void*)imported_other));
  CHECK_EQUAL(imported_work(1), 3);
  CHECK_OK(ct_unregister_redirect(ops));
  CHECK_OK(ct_register_direct(ops, count_direct));
  CHECK_FAILS(ct_modify_direct(ops, (void*)imported_work), EINVAL, "its own trampoline or replacement");
  CHECK_EQUAL(imported_work(1), 2);
  CHECK_EQUAL(direct_calls, 1);
}

TEST(functions_of_libraries_without_entries_are_refused_by_their_library) {
  ct_ops* ops = ct_new_callback(on_call, NULL, 0);
  CHECK((uintptr_t)strtoul < (uintptr_t)place_of_work());
  CHECK_FAILS(ct_set_filter_ip(ops, (uintptr_t)strtoul, 0, 0), ENXIO,
              "'libc.so.6': not the entry of a function that can be attached to");
  // Which code it is, the library decides when it is loaded; on AArch64 and RISC-V it is always the same.
  CHECK_FAILS(ct_set_filter_ip(ops, (uintptr_t)strrchr, 0, 0), ENXIO, "not the entry of a function");
  if (strstr(ct_error_text(), "'libc.so.6'") == NULL)
    CHECK_TEXT(ct_error_text(), "no module says where it is");
}
