// What replacements call: the original of a function whose module came again, and of one whose redirect
// leaves meanwhile.
#include <dlfcn.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>

#include "check.h"

typedef int Function(int);

static Function* original_of(const void* hooked) {
  Function* original;
  *(void**)&original = ct_original(hooked);
  return original;
}

static ct_ops* redirect_to(const char* pattern, Function* replacement, unsigned flags) {
  ct_ops* ops = ct_new_ops(NULL, flags);
  CHECK_OK(ct_set_filter(ops, pattern, 0));
  CHECK_OK(ct_register_redirect(ops, (void*)replacement));
  return ops;
}

// --- modules ---

static void* module;
static Function* module_work;
static void load(int version) {
  module = dlopen(version == 1 ? "libreloaded_1.so" : "libreloaded_2.so", RTLD_NOW | RTLD_LOCAL);
  if (module == NULL) {
    printf("  %s\n", dlerror());
    abort();
  }
  *(void**)&module_work = dlsym(module, "reloaded_work");
}

static int replaced_module_work(int value) {
  Function* original = original_of((void*)module_work);
  return original == NULL ? -1 : 100 * original(value);
}

/// Versions that come to lie at the same place, one after the other.
static void check_reloading(int versions, int calls) {
  ct_ops* ops = redirect_to("reloaded_work", replaced_module_work, CT_ALLOW_NO_MATCH);
  Function* last = NULL;
  int same_place = 0;
  for (int round = 0; round < 20; ++round) {
    const int version = 1 + round % versions;
    load(version);
    same_place += module_work == last;
    for (int i = 0; i < calls; ++i) CHECK_EQUAL(module_work(1), 100 * (1 + version));
    CHECK(original_of((void*)module_work) != NULL);
    CHECK_EQUAL(original_of((void*)module_work)(5), 5 + version);
    CHECK_EQUAL(dlclose(module), 0);
    CHECK(ct_original((void*)module_work) == NULL);
    last = module_work;
  }
  // An emulator may put each module elsewhere (tests/Programs.cmake).
  if (getenv("CALLTAP_EXEC_WRAPPER") == NULL) CHECK(same_place != 0);
  CHECK_EQUAL(ct_ops_functions(ops), 0);
  CHECK_OK(ct_free_ops(ops));
}
TEST(the_original_of_a_module_that_came_again) { check_reloading(1, 3); }
TEST(the_original_of_another_module_at_the_same_place) { check_reloading(2, 3); }
TEST(the_original_of_another_module_that_nobody_has_called) { check_reloading(2, 0); }

TEST(a_module_that_came_again_without_clients_has_no_original) {
  load(1);
  ct_ops* ops = redirect_to("reloaded_work", replaced_module_work, 0);
  CHECK_EQUAL(module_work(1), 200);
  CHECK_OK(ct_free_ops(ops));
  CHECK_EQUAL(original_of((void*)module_work)(1), 2);  // for those that are in the replacement yet
  CHECK_EQUAL(dlclose(module), 0);
  load(2);
  CHECK(ct_original((void*)module_work) == NULL);
  CHECK_EQUAL(module_work(1), 3);
}

// --- redirects that leave ---

HOOKED int number(int value) { return value + 1; }
HOOKED int other_number(int value) { return value + 2; }

static sem_t inside;
static sem_t go_on;
static int hold_then_call_original(int value) {
  sem_post(&inside);
  while (sem_wait(&go_on) != 0) {
  }
  Function* original = original_of((void*)number);
  return original == NULL ? -1 : 10 * original(value);
}
static int call_original(int value) {
  Function* original = original_of((void*)number);
  return original == NULL ? -1 : 10 * original(value);
}

static void* call_number(void* result) {
  *(int*)result = number(1);
  return NULL;
}

static void nothing(void) {}
static void load_and_unload(void) {
  load(1);
  ct_ops* ops = redirect_to("reloaded_work", replaced_module_work, 0);
  CHECK_EQUAL(dlclose(module), 0);
  CHECK_OK(ct_free_ops(ops));
}
static ct_ops* later;
static void redirect_again(void) { later = redirect_to("number", call_original, 0); }

/// The replacement has not asked before; `meanwhile` happens before it does.
static void check_redirect_leaves(void (*meanwhile)(void)) {
  sem_init(&inside, 0, 0);
  sem_init(&go_on, 0, 0);
  ct_ops* ops = redirect_to("number", hold_then_call_original, 0);
  int result = 0;
  pthread_t thread;
  CHECK_EQUAL(pthread_create(&thread, NULL, call_number, &result), 0);
  sem_wait(&inside);
  CHECK_OK(ct_unregister_redirect(ops));
  CHECK_OK(ct_free_ops(ops));
  CHECK_EQUAL(number(1), 2);
  meanwhile();
  sem_post(&go_on);
  pthread_join(thread, NULL);
  CHECK_EQUAL(result, 20);
}
TEST(a_replacement_calls_the_original_when_its_redirect_has_left) { check_redirect_leaves(nothing); }
TEST(also_when_a_module_was_unloaded_meanwhile) { check_redirect_leaves(load_and_unload); }
TEST(also_when_another_redirect_has_come) {
  check_redirect_leaves(redirect_again);
  CHECK_EQUAL(number(1), 20);
  CHECK_OK(ct_free_ops(later));
}

static int stop;
static unsigned long results[3];  // of the function, of the replacement, wrong
static void* call_for_a_while(void* unused) {
  unsigned long of[3] = {0, 0, 0};
  while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
    const int result = number(1);
    ++of[result == 2 ? 0 : result == 20 ? 1 : 2];
  }
  for (int i = 0; i < 3; ++i) __atomic_fetch_add(&results[i], of[i], __ATOMIC_RELAXED);
  return unused;
}

/// Every call has the function's result or the replacement's, while redirects come and go and modules with
/// them.
TEST(redirects_that_come_and_go_under_load) {
  enum { kThreads = 2, kRounds = 1000 };
  pthread_t threads[kThreads];
  for (int i = 0; i < kThreads; ++i) {
    CHECK_EQUAL(pthread_create(&threads[i], NULL, call_for_a_while, NULL), 0);
  }
  ct_ops* beside = ct_new_ops(NULL, 0);
  CHECK_OK(ct_set_filter(beside, "other_number", 0));
  for (int round = 0; round < kRounds; ++round) {
    ct_ops* ops = redirect_to("number", call_original, 0);
    if (round % 100 == 0) load_and_unload();
    CHECK_OK(round % 2 == 0 ? ct_register_redirect(beside, (void*)call_original)
                            : ct_unregister_redirect(beside));
    if (round % 8 == 0) sched_yield();
    CHECK_OK(ct_free_ops(ops));
  }
  __atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
  for (int i = 0; i < kThreads; ++i) pthread_join(threads[i], NULL);
  CHECK(results[0] != 0);
  CHECK(results[1] != 0);
  CHECK_EQUAL(results[2], 0);
  CHECK_OK(ct_free_ops(beside));
}
