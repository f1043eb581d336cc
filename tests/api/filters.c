// Which functions an ops is attached to: patterns, symbols, addresses, modules that come and go, and changes
// of a filter in one step.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "trampolines.h"

static unsigned bodies;
HOOKED void glob_one(void) { ++bodies; }
HOOKED void glob_two(void) { ++bodies; }
HOOKED void glob_three(void) { ++bodies; }
HOOKED void plain(void) { ++bodies; }

typedef void Function(void);
static Function* const functions[] = {glob_one, glob_two, glob_three, plain};

static unsigned seen;
static void on_call(uint64_t ip, uint64_t parent_ip, ct_ops* ops, ct_regs* regs) {
  (void)parent_ip, (void)ops, (void)regs;
  for (unsigned i = 0; i < 4; ++i) {
    if (ip == (uintptr_t)functions[i]) seen |= 1U << i;
  }
}

/// Which of the functions the ops sees now: glob_one 1, glob_two 2, glob_three 4, plain 8.
static unsigned attached_to(void) {
  seen = 0;
  for (unsigned i = 0; i < 4; ++i) functions[i]();
  return seen;
}

static ct_ops* new_callback(void) { return ct_new_callback(on_call, NULL, 0); }

TEST(every_form_of_glob) {
  static const struct {
    const char* pattern;
    unsigned expected;
  } cases[] = {
      {"glob_one", 1}, {"glob_*", 7},         {"*_two", 2},      {"*lob_*", 7},       {"glob_t*", 6},
      {"gl?b_one", 1}, {"glob_[ot]*", 7},     {"glob_[!o]*", 6}, {"glob_[n-z]ne", 1}, {"g*_t*e", 4},
      {"plai\\n", 8},  {"filters*:plain", 8}, {"*:glob_t*", 6},  {"glob_[a-o]*", 1},  {"p*", 8},
  };
  for (unsigned i = 0; i < sizeof cases / sizeof cases[0]; ++i) {
    ct_ops* ops = new_callback();
    CHECK_OK(ct_set_filter(ops, cases[i].pattern, 0));
    CHECK_OK(ct_register_ops(ops));
    CHECK_EQUAL(attached_to(), cases[i].expected);
    CHECK_OK(ct_free_ops(ops));
    CHECK_EQUAL(attached_to(), 0);
  }
}

TEST(an_empty_filter_is_every_function) {
  ct_ops* ops = new_callback();
  CHECK_OK(ct_register_ops(ops));
  CHECK_EQUAL(attached_to(), 15);
  CHECK_OK(ct_free_ops(ops));
}

TEST(exclamation_mark_removes) {
  ct_ops* ops = new_callback();
  CHECK_OK(ct_set_filter(ops, "glob_*", 0));
  CHECK_OK(ct_register_ops(ops));
  CHECK_OK(ct_set_filter(ops, "!glob_two", 0));
  CHECK_EQUAL(attached_to(), 5);
  CHECK_OK(ct_set_filter(ops, "!glob_th*", 0));
  CHECK_EQUAL(attached_to(), 1);
  CHECK_OK(ct_set_filter(ops, "glob_two", 0));
  CHECK_EQUAL(attached_to(), 3);
  // Removing the last ones does not leave all.
  CHECK_FAILS(ct_set_filter(ops, "!glob_*", 0), ENOENT, "");
  CHECK_EQUAL(attached_to(), 3);
  CHECK_OK(ct_free_ops(ops));
}

TEST(exclamation_mark_removes_symbols_too) {
  ct_ops* ops = new_callback();
  CHECK_OK(ct_set_filter_symbol(ops, "glob_one", 0));
  CHECK_OK(ct_set_filter_symbol(ops, "plain", 0));
  CHECK_OK(ct_register_ops(ops));
  CHECK_EQUAL(attached_to(), 9);
  CHECK_OK(ct_set_filter(ops, "!glob_*", 0));
  CHECK_EQUAL(attached_to(), 8);
  CHECK_FAILS(ct_set_filter(ops, "!plain", 0), ENOENT, "");
  CHECK_EQUAL(attached_to(), 8);
  CHECK_OK(ct_set_filter_symbol(ops, "glob_one", 0));
  CHECK_EQUAL(attached_to(), 9);
  CHECK_OK(ct_free_ops(ops));
}

TEST(notrace_wins) {
  ct_ops* ops = new_callback();
  CHECK_OK(ct_set_notrace(ops, "*_two", 0));
  CHECK_OK(ct_set_filter(ops, "glob_*", 0));
  CHECK_OK(ct_register_ops(ops));
  CHECK_EQUAL(attached_to(), 5);
  CHECK_OK(ct_set_filter(ops, "glob_two", 0));
  CHECK_EQUAL(attached_to(), 5);
  CHECK_OK(ct_set_filter_symbol(ops, "glob_two", 0));
  CHECK_EQUAL(attached_to(), 5);
  CHECK_OK(ct_set_filter_ip(ops, (uintptr_t)glob_two, 0, 0));
  CHECK_EQUAL(attached_to(), 5);
  CHECK_OK(ct_set_notrace(ops, "plain", 1));
  CHECK_EQUAL(attached_to(), 7);
  CHECK_OK(ct_set_filter(ops, NULL, 1));  // all functions but plain
  CHECK_EQUAL(attached_to(), 7);
  CHECK_OK(ct_set_notrace(ops, NULL, 1));
  CHECK_EQUAL(attached_to(), 15);
  CHECK_OK(ct_free_ops(ops));
}

TEST(symbols_are_no_globs) {
  ct_ops* ops = new_callback();
  CHECK_FAILS(ct_set_filter_symbol(ops, "glob_*", 0), ENOENT, "glob_*");
  CHECK_OK(ct_set_filter_symbol(ops, "glob_two", 0));
  CHECK_OK(ct_register_ops(ops));
  CHECK_EQUAL(attached_to(), 2);
  CHECK_OK(ct_free_ops(ops));
}

TEST(addresses_come_and_go) {
  ct_ops* ops = new_callback();
  CHECK_OK(ct_set_filter_ip(ops, (uintptr_t)glob_one, 0, 0));
  CHECK_OK(ct_set_filter_ip(ops, (uintptr_t)plain, 0, 0));
  CHECK_OK(ct_set_filter_ip(ops, (uintptr_t)plain, 0, 0));
  CHECK_OK(ct_register_ops(ops));
  CHECK_EQUAL(attached_to(), 9);
  CHECK_OK(ct_set_filter_ip(ops, (uintptr_t)plain, 1, 0));
  CHECK_EQUAL(attached_to(), 1);
  // Without the last one there would be none, and never all.
  CHECK_FAILS(ct_set_filter_ip(ops, (uintptr_t)glob_one, 1, 0), ENOENT, "");
  CHECK_EQUAL(attached_to(), 1);
  CHECK_OK(ct_unregister_ops(ops));
  CHECK_OK(ct_set_filter_ip(ops, (uintptr_t)glob_one, 1, 0));
  CHECK_FAILS(ct_register_ops(ops), ENOENT, "");
  CHECK_EQUAL(attached_to(), 0);
  CHECK_OK(ct_set_filter_ip(ops, (uintptr_t)glob_two, 0, 1));
  CHECK_OK(ct_register_ops(ops));
  CHECK_EQUAL(attached_to(), 2);
  CHECK_OK(ct_free_ops(ops));
}

TEST(an_address_can_be_removed_from_what_patterns_select) {
  ct_ops* ops = new_callback();
  CHECK_OK(ct_set_filter(ops, "glob_*", 0));
  CHECK_OK(ct_register_ops(ops));
  CHECK_OK(ct_set_filter_ip(ops, (uintptr_t)glob_two, 1, 0));
  CHECK_EQUAL(attached_to(), 5);
  CHECK_OK(ct_set_filter_ip(ops, (uintptr_t)glob_two, 0, 0));
  CHECK_EQUAL(attached_to(), 7);
  CHECK_OK(ct_free_ops(ops));
}

TEST(without_a_match_nothing_is_registered_unless_allowed) {
  ct_ops* ops = new_callback();
  CHECK_OK(ct_set_filter(ops, "no_such_function", 0));
  CHECK_FAILS(ct_register_ops(ops), ENOENT, "");
  CHECK_FAILS(ct_unregister_ops(ops), ESRCH, "");
  CHECK_OK(ct_free_ops(ops));
  ct_ops* patient = ct_new_callback(on_call, NULL, CT_ALLOW_NO_MATCH);
  CHECK_OK(ct_set_filter(patient, "no_such_function", 0));
  CHECK_OK(ct_register_ops(patient));
  CHECK_EQUAL(ct_ops_functions(patient), 0);
  CHECK_EQUAL(attached_to(), 0);
  CHECK_OK(ct_set_filter(patient, "plain", 1));
  CHECK_EQUAL(attached_to(), 8);
  CHECK_OK(ct_set_filter(patient, "!plain", 0));
  CHECK_EQUAL(attached_to(), 0);
  CHECK_OK(ct_free_ops(patient));
}

TEST(a_malformed_pattern_says_where_and_changes_nothing) {
  ct_ops* ops = new_callback();
  CHECK_OK(ct_set_filter(ops, "plain", 0));
  CHECK_OK(ct_register_ops(ops));
  CHECK_FAILS(ct_set_filter(ops, "glob_one\\", 1), EINVAL, "column 9");
  CHECK_FAILS(ct_set_notrace(ops, "", 1), EINVAL, "column 1");
  CHECK_EQUAL(attached_to(), 8);
  CHECK_OK(ct_free_ops(ops));
}

// --- in one step ---

static int stop;
static unsigned strangers;
static uint64_t kept_calls;
HOOKED void a_kept(void) { __asm__ volatile(""); }
HOOKED void b_kept(void) { __asm__ volatile(""); }
HOOKED void c_kept(void) { __asm__ volatile(""); }
HOOKED void bystander(void) { __asm__ volatile(""); }

static void on_kept(uint64_t ip, uint64_t parent_ip, ct_ops* ops, ct_regs* regs) {
  (void)parent_ip, (void)ops, (void)regs;
  if (ip == (uintptr_t)c_kept) __atomic_fetch_add(&kept_calls, 1, __ATOMIC_RELAXED);
  if (ip == (uintptr_t)bystander) __atomic_fetch_add(&strangers, 1, __ATOMIC_RELAXED);
}

static void* call_bystander_and_kept(void* argument) {
  uint64_t* calls = argument;
  while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
    bystander();
    a_kept(), b_kept(), c_kept();
    ++*calls;
  }
  return NULL;
}

static void check_in_one_step(int (*change)(ct_ops* ops, unsigned round)) {
  enum { kChanges = 3000 };
  ct_ops* ops = ct_new_callback(on_kept, NULL, 0);
  CHECK_OK(change(ops, 1));
  CHECK_OK(ct_register_ops(ops));
  uint64_t calls = 0;
  pthread_t thread;
  CHECK_EQUAL(pthread_create(&thread, NULL, call_bystander_and_kept, &calls), 0);
  for (unsigned round = 0; round < kChanges; ++round) {
    if (change(ops, round) != 0) CHECK_OK(-1);
  }
  stop = 1;
  pthread_join(thread, NULL);
  CHECK_EQUAL(strangers, 0);
  CHECK_EQUAL(kept_calls, calls);
  CHECK(calls != 0);
  CHECK_OK(ct_free_ops(ops));
}

static int change_pattern(ct_ops* ops, unsigned round) {
  return ct_set_filter(ops, round % 2 == 0 ? "[ac]_kept" : "[bc]_kept", 1);
}
static int change_notrace(ct_ops* ops, unsigned round) {
  if (round <= 1 && ct_set_filter(ops, "*_kept", 1) != 0) return -1;
  return ct_set_notrace(ops, round % 2 == 0 ? "a_kept" : "b_kept", 1);
}
static int change_address(ct_ops* ops, unsigned round) {
  return ct_set_filter_ip(ops, (uintptr_t)(round / 2 % 2 == 0 ? a_kept : c_kept), 0, round % 2);
}

TEST(at_no_time_are_all_functions_attached_and_what_stays_misses_no_call) {
  check_in_one_step(change_pattern);
}
TEST(a_change_of_notrace_is_one_step) { check_in_one_step(change_notrace); }

static int change_symbol(ct_ops* ops, unsigned round) {
  return ct_set_filter_symbol(ops, round % 2 == 0 ? "a_kept" : "b_kept", 1);
}
static void check_no_strangers(int (*change)(ct_ops* ops, unsigned round)) {
  ct_ops* ops = ct_new_callback(on_kept, NULL, 0);
  CHECK_OK(change(ops, 1));
  CHECK_OK(ct_register_ops(ops));
  uint64_t calls = 0;
  pthread_t thread;
  CHECK_EQUAL(pthread_create(&thread, NULL, call_bystander_and_kept, &calls), 0);
  for (unsigned round = 0; round < 2000; ++round) {
    if (change(ops, round) != 0) CHECK_OK(-1);
  }
  stop = 1;
  pthread_join(thread, NULL);
  CHECK_EQUAL(strangers, 0);
  CHECK_OK(ct_free_ops(ops));
}
TEST(a_reset_to_another_symbol_never_attaches_to_all) { check_no_strangers(change_symbol); }
TEST(a_reset_to_another_address_never_attaches_to_all) { check_no_strangers(change_address); }

// --- modules ---

typedef int Work(int);
static unsigned module_calls;

static void on_module_call(uint64_t ip, uint64_t parent_ip, ct_ops* ops, ct_regs* regs) {
  (void)ip, (void)parent_ip, (void)ops, (void)regs;
  __atomic_fetch_add(&module_calls, 1, __ATOMIC_RELAXED);
}

static void* load(const char* name) {
  void* module = dlopen(name, RTLD_NOW | RTLD_LOCAL);
  if (module == NULL) printf("  %s\n", dlerror());
  if (module == NULL) exit(1);
  return module;
}

static Work* work_of(void* module, const char* name) {
  Work* work;
  *(void**)&work = dlsym(module, name);
  if (work == NULL) exit(1);
  return work;
}

TEST(a_module_that_comes_is_attached_before_its_constructors) {
  ct_ops* ops = ct_new_callback(on_module_call, NULL, CT_ALLOW_NO_MATCH);
  CHECK_OK(ct_set_filter(ops, "coming_work", 0));
  CHECK_OK(ct_register_ops(ops));
  for (unsigned round = 1; round <= 5; ++round) {
    void* module = load("libcoming_a.so");
    CHECK_EQUAL(module_calls, 2 * round - 1);
    CHECK_EQUAL(ct_ops_functions(ops), 1);
    CHECK_EQUAL(work_of(module, "coming_work")(1), 2);
    CHECK_EQUAL(module_calls, 2 * round);
    CHECK_TEXT(enabled_line("coming_work"), "[libcoming_a.so] (1)");
    dlclose(module);
    CHECK_EQUAL(ct_ops_functions(ops), 0);
    CHECK_EQUAL(enabled_line("coming_work")[0], 0);
  }
  CHECK_OK(ct_free_ops(ops));
  void* module = load("libcoming_a.so");
  CHECK_EQUAL(module_calls, 10);
  dlclose(module);
}

TEST(the_module_part_of_a_pattern_tells_functions_of_one_name_apart) {
  void* a = load("libcoming_a.so");
  void* b = load("libcoming_b.so");
  ct_ops* ops = ct_new_callback(on_module_call, NULL, 0);
  CHECK_OK(ct_set_filter(ops, "libcoming_b:coming_*", 0));
  CHECK_OK(ct_register_ops(ops));
  CHECK_EQUAL(ct_ops_functions(ops), 2);
  work_of(a, "coming_work")(1), work_of(a, "coming_other_work")(1);
  CHECK_EQUAL(module_calls, 0);
  work_of(b, "coming_work")(1), work_of(b, "coming_other_work")(1);
  CHECK_EQUAL(module_calls, 2);
  CHECK_OK(ct_set_filter(ops, "*_a.so:coming_work", 1));
  work_of(a, "coming_work")(1), work_of(b, "coming_work")(1);
  CHECK_EQUAL(module_calls, 3);
  // A symbol is in both.
  CHECK_OK(ct_set_filter_symbol(ops, "coming_work", 1));
  work_of(a, "coming_work")(1), work_of(b, "coming_work")(1);
  CHECK_EQUAL(module_calls, 5);
  CHECK_OK(ct_free_ops(ops));
}

static int replaced_work(int value) { return 1000 + value; }
DIRECT_TRAMPOLINE(count_direct, direct_calls);

TEST(direct_calls_and_redirects_reach_modules_that_come) {
  ct_ops* direct = ct_new_ops(NULL, CT_ALLOW_NO_MATCH);
  ct_ops* redirect = ct_new_ops(NULL, CT_ALLOW_NO_MATCH);
  CHECK_OK(ct_set_filter(direct, "coming_*", 0));
  CHECK_OK(ct_set_filter(redirect, "coming_other_work", 0));
  CHECK_OK(ct_register_direct(direct, count_direct));
  CHECK_OK(ct_register_redirect(redirect, (void*)replaced_work));
  for (unsigned round = 1; round <= 3; ++round) {
    void* module = load("libcoming_a.so");
    CHECK_EQUAL(direct_calls, 2 * round - 1);
    CHECK_EQUAL(work_of(module, "coming_other_work")(1), 1001);
    CHECK_EQUAL(direct_calls, 2 * round);
    dlclose(module);
    CHECK_EQUAL(ct_ops_functions(direct), 0);
    CHECK_EQUAL(ct_ops_functions(redirect), 0);
  }
  CHECK_OK(ct_free_ops(direct));
  CHECK_OK(ct_free_ops(redirect));
}

TEST(a_module_that_comes_ten_thousand_times_uses_up_no_direct_calls) {
  ct_ops* direct = ct_new_ops(NULL, CT_ALLOW_NO_MATCH);
  CHECK_OK(ct_set_filter(direct, "coming_*", 0));
  CHECK_OK(ct_register_direct(direct, count_direct));
  enum { kRounds = 5000 };  // two functions a round, 8,192 slots
  for (unsigned round = 0; round < kRounds; ++round) dlclose(load("libcoming_a.so"));
  CHECK_EQUAL(direct_calls, kRounds);
  CHECK_OK(ct_free_ops(direct));
}

TEST(an_address_in_a_module_that_is_gone_selects_nothing) {
  void* module = load("libcoming_a.so");
  ct_ops* ops = ct_new_callback(on_module_call, NULL, CT_ALLOW_NO_MATCH);
  CHECK_OK(ct_set_filter_ip(ops, (uintptr_t)work_of(module, "coming_work"), 0, 0));
  CHECK_OK(ct_register_ops(ops));
  work_of(module, "coming_work")(1);
  CHECK_EQUAL(module_calls, 1);
  dlclose(module);
  CHECK_EQUAL(ct_ops_functions(ops), 0);
  // The next one lies where the first lay, as a rule.
  module = load("libcoming_b.so");
  work_of(module, "coming_work")(1);
  plain();
  CHECK_EQUAL(module_calls, 1);
  CHECK_EQUAL(ct_ops_functions(ops), 0);
  CHECK_OK(ct_free_ops(ops));
}

TEST(disabled_and_switched_off_clients_find_modules_that_came_meanwhile) {
  ct_ops* ops = ct_new_callback(on_module_call, NULL, CT_ALLOW_NO_MATCH);
  CHECK_OK(ct_set_filter(ops, "coming_work", 0));
  CHECK_OK(ct_register_ops(ops));
  CHECK_OK(ct_disable_ops(ops));
  void* a = load("libcoming_a.so");
  CHECK_EQUAL(module_calls, 0);
  CHECK_OK(ct_enable_ops(ops));
  work_of(a, "coming_work")(1);
  CHECK_EQUAL(module_calls, 1);
  CHECK_OK(ct_set_enabled(0));
  void* b = load("libcoming_b.so");
  CHECK_EQUAL(module_calls, 1);
  CHECK_OK(ct_set_enabled(1));
  work_of(a, "coming_work")(1), work_of(b, "coming_work")(1);
  CHECK_EQUAL(module_calls, 3);
  CHECK_OK(ct_free_ops(ops));
}

TEST(a_line_of_enabled_functions_is_whole_with_a_hundred_clients) {
  ct_ops* ops[100];
  for (unsigned i = 0; i < 100; ++i) {
    ops[i] = new_callback();
    ct_set_name(ops[i], "a_client_with_a_name_of_some_length");
    CHECK_OK(ct_set_filter(ops[i], i == 0 ? "*" : "plain", 0));
    if (i == 0) CHECK_OK(ct_set_filter(ops[i], "glob_one", 1));
    CHECK_OK(ct_register_ops(ops[i]));
  }
  char* text = enabled_functions();
  unsigned lines = 0;
  unsigned clients = 0;
  for (const char* at = text; *at != '\0'; ++at) lines += *at == '\n';
  for (const char* at = text; (at = strstr(at, "a_client_with")) != NULL; ++at) ++clients;
  CHECK_EQUAL(lines, 2);
  CHECK_EQUAL(clients, 100);
  free(text);
}
