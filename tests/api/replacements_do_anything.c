// What functions that replace others may do. They are no handlers but functions of the program: what they
// call is hooked as anywhere, and they may ask the interface for everything, also to let themselves go.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"

HOOKED double work(int value, double factor) { return value * factor; }
HOOKED int other_work(int value) { return value + 1; }

typedef double Work(int, double);
static Work* original(void) {
  Work* found;
  *(void**)&found = ct_original((void*)work);
  return found;
}

static ct_ops* redirect;
static unsigned replaced;
static void (*action)(void);
static double replacement(int value, double factor) {
  ++replaced;
  if (action != NULL) action();
  return original()(value, factor) + 0.5;
}

static unsigned entries;
static void on_call(uint64_t ip, uint64_t parent_ip, ct_ops* ops, ct_regs* regs) {
  (void)ip, (void)parent_ip, (void)ops, (void)regs;
  __atomic_fetch_add(&entries, 1, __ATOMIC_RELAXED);
}
static void on_exit_of_call(uint64_t ip, uint64_t parent_ip, ct_ops* ops, ct_regs* regs, void* data) {
  (void)ip, (void)parent_ip, (void)ops, (void)regs, (void)data;
}

static ct_ops* attached(const char* pattern, unsigned flags) {
  ct_ops* ops = ct_new_callback(on_call, NULL, flags);
  CHECK_OK(ct_set_filter(ops, pattern, 0));
  CHECK_OK(ct_register_ops(ops));
  return ops;
}

static ct_ops* redirected(const char* pattern, const void* to) {
  ct_ops* ops = ct_new_ops(NULL, 0);
  CHECK_OK(ct_set_filter(ops, pattern, 0));
  CHECK_OK(ct_register_redirect(ops, to));
  return ops;
}

static void is_replaced(void) { CHECK(work(3, 2.5) == 8.0); }
static void is_not_replaced(void) { CHECK(work(3, 2.5) == 7.5); }

/// Runs the check with the redirect alone, and with handlers of the same function beside it.
static void alone_and_beside(void (*what)(void), void (*check)(ct_ops* beside)) {
  for (int with_handlers = 0; with_handlers < 2; ++with_handlers) {
    ct_ops* beside = NULL;
    if (with_handlers) {
      beside = ct_new_probe(NULL, on_exit_of_call, 0, NULL, 0);
      CHECK_OK(ct_set_filter(beside, "work", 0));
      CHECK_OK(ct_register_ops(beside));
    }
    redirect = redirected("work", (void*)replacement);
    replaced = 0;
    action = what;
    check(beside);
    if (beside != NULL) CHECK_EQUAL(ct_ops_missed(beside), 0);
    CHECK_OK(ct_free_ops(redirect));
    CHECK_OK(ct_free_ops(beside));
    action = NULL;
    is_not_replaced();
  }
}

// --- its own function ---

static void call_itself(void) {
  if (replaced < 10) is_replaced();
}
static void check_recursion(ct_ops* beside) {
  is_replaced();
  CHECK_EQUAL(replaced, 10);
  if (beside != NULL) CHECK_EQUAL(ct_ops_hits(beside), 10);
}
TEST(its_own_function_is_replaced_again) { alone_and_beside(call_itself, check_recursion); }

static void call_other(void) { CHECK_EQUAL(other_work(1), 2); }
static void check_other(ct_ops* beside) {
  (void)beside;
  ct_ops* seen = attached("other_work", 0);
  for (int i = 0; i < 10; ++i) is_replaced();
  CHECK_EQUAL(ct_ops_hits(seen), 10);
  CHECK_EQUAL(ct_ops_missed(seen), 0);
  CHECK_OK(ct_free_ops(seen));
}
TEST(its_calls_are_seen) { alone_and_beside(call_other, check_other); }

// --- fork ---

static pid_t forked;
static void fork_once(void) {
  if (forked == -1) forked = fork();
}
static void check_both_go_on(ct_ops* beside) {
  forked = -1;
  fflush(stdout);
  int right = work(3, 2.5) == 8.0;
  const pid_t child = forked;
  right = right && work(1, 1.0) == 1.5 && replaced == 2;
  right = right && (beside == NULL || ct_ops_hits(beside) == 2);
  ct_ops* another = ct_new_callback(on_call, NULL, 0);
  right = right && ct_set_filter(another, "other_work", 0) == 0 && ct_register_ops(another) == 0;
  right = right && other_work(1) == 2 && ct_ops_hits(another) == 1 && ct_free_ops(another) == 0;
  if (child == 0) {
    right = right && ct_unregister_redirect(redirect) == 0 && work(3, 2.5) == 7.5;
    _exit(right ? 0 : 1);
  }
  CHECK(right);
  int status = -1;
  CHECK_EQUAL(waitpid(child, &status, 0), child);
  CHECK_EQUAL(status, 0);
  is_replaced();  // what the child has unregistered is its own
}
TEST(fork_goes_on_replaced_in_both_processes) { alone_and_beside(fork_once, check_both_go_on); }

// --- modules ---

static void load_and_unload(void) {
  void* module = dlopen("libcoming_a.so", RTLD_NOW | RTLD_LOCAL);
  CHECK(module != NULL);
  CHECK_EQUAL(dlclose(module), 0);
}
static void check_loaded(ct_ops* beside) {
  (void)beside;
  ct_ops* seen = attached("coming_work", CT_ALLOW_NO_MATCH);
  for (int i = 0; i < 3; ++i) is_replaced();
  CHECK_EQUAL(ct_ops_hits(seen), 3);  // the constructors
  CHECK_EQUAL(ct_ops_missed(seen), 0);
  CHECK_OK(ct_free_ops(seen));
}
TEST(dlopen_and_dlclose) { alone_and_beside(load_and_unload, check_loaded); }

// --- printing and allocating ---

static void print_and_allocate(void) {
  char* text = NULL;
  size_t bytes = 0;
  FILE* stream = open_memstream(&text, &bytes);
  for (int i = 0; i < 100; ++i) fprintf(stream, "%.2f ", i * 0.25);
  fclose(stream);
  CHECK(strncmp(text, "0.00 0.25 0.50 ", 15) == 0);
  text = realloc(text, 100000);
  free(text);
}
static void check_ten_calls(ct_ops* beside) {
  for (int i = 0; i < 10; ++i) is_replaced();
  CHECK_EQUAL(replaced, 10);
  if (beside != NULL) CHECK_EQUAL(ct_ops_hits(beside), 10);
}
TEST(printf_and_malloc) { alone_and_beside(print_and_allocate, check_ten_calls); }

// --- the interface ---

static void attach_another(void) {
  ct_ops* seen = attached("other_work", 0);
  CHECK_EQUAL(other_work(1), 2);
  CHECK_EQUAL(ct_ops_hits(seen), 1);
  CHECK_OK(ct_disable_ops(seen));
  CHECK_EQUAL(other_work(1), 2);
  CHECK_OK(ct_enable_ops(seen));
  CHECK_EQUAL(other_work(1), 2);
  CHECK_EQUAL(ct_ops_hits(seen), 2);
  CHECK_OK(ct_free_ops(seen));
  CHECK_TEXT(enabled_line("work"), " I ");
}
TEST(clients_of_other_functions_come_and_go) { alone_and_beside(attach_another, check_ten_calls); }

static void attach_to_itself(void) {
  ct_ops* seen = attached("work", 0);
  CHECK_OK(ct_free_ops(seen));
}
TEST(clients_of_its_own_function_come_and_go) { alone_and_beside(attach_to_itself, check_ten_calls); }

static void leave(void) { CHECK_OK(ct_unregister_redirect(redirect)); }
static void check_left(ct_ops* beside) {
  for (int i = 0; i < 3; ++i) {
    is_replaced();
    is_not_replaced();
    CHECK_OK(ct_register_redirect(redirect, (void*)replacement));
  }
  CHECK_EQUAL(replaced, 3);
  if (beside != NULL) CHECK_EQUAL(ct_ops_hits(beside), 6);
}
TEST(it_unregisters_itself) { alone_and_beside(leave, check_left); }
