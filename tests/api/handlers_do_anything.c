// What handlers may do: everything that the function could. They call themselves, fork, load modules,
// print and allocate, ask the interface, sleep, are interrupted, and end their thread. (own_malloc.c: with a
// hooked malloc; replacements_do_anything.c: functions that replace others.)
#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"

static unsigned bodies;
HOOKED void work(void) { __atomic_fetch_add(&bodies, 1, __ATOMIC_RELAXED); }
HOOKED void signalled_work(void) { __asm__ volatile(""); }

static void (*at_entry)(void);
static void (*at_exit)(void);
static unsigned entries;
static unsigned exits;

static void on_call(uint64_t ip, uint64_t parent_ip, ct_ops* ops, ct_regs* regs) {
  (void)ip, (void)parent_ip, (void)ops, (void)regs;
  __atomic_fetch_add(&entries, 1, __ATOMIC_RELAXED);
  if (at_entry != NULL) at_entry();
}
static int on_entry(uint64_t ip, uint64_t parent_ip, ct_ops* ops, ct_regs* regs, void* data) {
  (void)data;
  on_call(ip, parent_ip, ops, regs);
  return 0;
}
static void on_exit_of_call(uint64_t ip, uint64_t parent_ip, ct_ops* ops, ct_regs* regs, void* data) {
  (void)ip, (void)parent_ip, (void)ops, (void)regs, (void)data;
  __atomic_fetch_add(&exits, 1, __ATOMIC_RELAXED);
  if (at_exit != NULL) at_exit();
}

static ct_ops* attach(ct_ops* ops, const char* pattern) {
  CHECK_OK(ct_set_filter(ops, pattern, 0));
  CHECK_OK(ct_register_ops(ops));
  return ops;
}
static ct_ops* new_callback(void) { return ct_new_callback(on_call, NULL, 0); }
static ct_ops* new_probe(void) { return ct_new_probe(on_entry, on_exit_of_call, 0, NULL, 0); }

/// Runs `check` with the action in a callback, at a probe's entry, at its exit, and with another client
/// beside.
static void in_every_handler(void (*action)(void), void (*check)(ct_ops* ops)) {
  for (int kind = 0; kind < 4; ++kind) {
    at_entry = kind == 2 ? NULL : action;
    at_exit = kind == 2 ? action : NULL;
    ct_ops* beside = kind == 3 ? attach(ct_new_probe(NULL, on_exit_of_call, 0, NULL, 0), "work") : NULL;
    ct_ops* ops = attach(kind == 0 ? new_callback() : new_probe(), "work");
    check(ops);
    CHECK_OK(ct_free_ops(ops));
    CHECK_OK(ct_free_ops(beside));
    at_entry = at_exit = NULL;
  }
}

// --- its own function ---

static void check_once(ct_ops* ops) {
  bodies = 0;
  work();
  CHECK_EQUAL(bodies, 2);
  CHECK_EQUAL(ct_ops_hits(ops), 1);
  CHECK_EQUAL(ct_ops_missed(ops), 1);
}
TEST(its_own_function_runs_unhooked) { in_every_handler(work, check_once); }

// --- fork ---

static pid_t forked;
static void fork_once(void) {
  if (forked == -1) forked = fork();
}
static void check_both_go_on(ct_ops* ops) {
  forked = -1;
  fflush(stdout);
  work();
  const pid_t child = forked;
  const uint64_t hits = ct_ops_hits(ops);
  work();
  int right = ct_ops_hits(ops) == hits + 1;
  // Registrations work on both sides.
  ct_ops* another = new_callback();
  right = right && ct_set_filter(another, "signalled_work", 0) == 0 && ct_register_ops(another) == 0;
  signalled_work();
  right = right && ct_ops_hits(another) == 1 && ct_free_ops(another) == 0;
  if (child == 0) _exit(right ? 0 : 1);
  CHECK(right);
  int status = -1;
  CHECK_EQUAL(waitpid(child, &status, 0), child);
  CHECK_EQUAL(status, 0);
}
TEST(fork_goes_on_hooked_in_both_processes) { in_every_handler(fork_once, check_both_go_on); }

// --- modules ---

static unsigned module_exits;
static void load_and_unload(void) {
  void* module = dlopen("libcoming_a.so", RTLD_NOW | RTLD_LOCAL);
  if (module != NULL && dlclose(module) == 0) ++module_exits;
}
static void check_loaded(ct_ops* ops) {
  module_exits = 0;
  ct_ops* beside = ct_new_callback(on_call, NULL, CT_ALLOW_NO_MATCH);
  attach(beside, "coming_work");
  for (int i = 0; i < 3; ++i) work();
  CHECK_EQUAL(module_exits, 3);
  CHECK_EQUAL(ct_ops_hits(ops), 3);
  // The constructor ran inside a handler.
  CHECK_EQUAL(ct_ops_hits(beside), 0);
  CHECK_EQUAL(ct_ops_missed(beside), 3);
  CHECK_OK(ct_free_ops(beside));
}
TEST(dlopen_and_dlclose) { in_every_handler(load_and_unload, check_loaded); }

// --- printing and allocating ---

static unsigned printed;
static void print_and_allocate(void) {
  char* text = NULL;
  size_t bytes = 0;
  FILE* stream = open_memstream(&text, &bytes);
  for (int i = 0; i < 100; ++i) fprintf(stream, "%.2f ", i * 0.25);
  fclose(stream);
  char* more = realloc(text, 100000);
  printed += more != NULL && strncmp(more, "0.00 0.25 0.50 ", 15) == 0;
  free(more);
}
HOOKED double scaled(int value, double factor) { return value * factor; }
static void check_printed(ct_ops* ops) {
  CHECK_OK(ct_set_filter(ops, "scaled", 1));
  printed = 0;
  for (int i = 0; i < 10; ++i) CHECK(scaled(i, 1.5) == i * 1.5);
  CHECK_EQUAL(ct_ops_hits(ops), 10);
  CHECK_EQUAL(printed, 10);
}
TEST(printf_and_malloc) { in_every_handler(print_and_allocate, check_printed); }

// --- the interface ---

static ct_ops* asked;
static unsigned refused;
static void ask_everything(void) {
  char text[64];
  const int results[] = {
      ct_register_ops(asked),
      ct_unregister_ops(asked),
      ct_disable_ops(asked),
      ct_enable_ops(asked),
      ct_set_filter(asked, "work", 1),
      ct_set_notrace(asked, "work", 1),
      ct_set_filter_symbol(asked, "work", 1),
      ct_set_filter_ip(asked, (uintptr_t)work, 0, 1),
      ct_register_direct(asked, (void*)work),
      ct_unregister_direct(asked),
      ct_modify_direct(asked, (void*)work),
      ct_register_redirect(asked, (void*)work),
      ct_unregister_redirect(asked),
      ct_set_enabled(0),
      ct_free_ops(asked),
      (int)ct_enabled_functions(text, sizeof text),
  };
  refused = 0;
  for (unsigned i = 0; i < sizeof results / sizeof results[0]; ++i) {
    if (results[i] == -EDEADLK)
      ++refused;
    else
      printf("  call %u in a handler is %d\n", i, results[i]);
  }
  if (ct_new_callback(on_call, NULL, 0) == NULL) ++refused;
  if (ct_original((void*)work) != NULL) ++refused;
  if (ct_enabled() == 1 && ct_ops_functions(asked) == 1 && ct_ops_missed(asked) == 0) ++refused;
}
static void check_refused(ct_ops* ops) {
  asked = ops;
  work();
  CHECK_EQUAL(refused, 16 + 3);
  CHECK_TEXT(ct_error_text(), "handler");
  work();
  CHECK_EQUAL(ct_ops_hits(ops), 2);
}
TEST(what_would_wait_for_the_handler_is_refused) { in_every_handler(ask_everything, check_refused); }

// --- signals ---

static ct_ops* signalled;
static volatile unsigned in_signal;
static void on_signal(int number) {
  (void)number;
  signalled_work();
  ++in_signal;
}
static void raise_one(void) { raise(SIGUSR1); }
static void check_seen_in_signal(ct_ops* ops) {
  in_signal = 0;
  signalled = attach(ct_new_callback(on_call, NULL, 0), "signalled_work");
  for (int i = 0; i < 10; ++i) work();
  CHECK_EQUAL(ct_ops_hits(ops), 10);
  CHECK_EQUAL(ct_ops_missed(ops), 0);
  CHECK_EQUAL(in_signal, 10);
  CHECK_EQUAL(ct_ops_hits(signalled), 10);
  CHECK_EQUAL(ct_ops_missed(signalled), 0);
  CHECK_OK(ct_free_ops(signalled));
}
static volatile int nesting;  // the compiler thinks that raise() calls nothing of ours
static void raise_outermost(void) {
  if (nesting++ == 0) raise_one();
  --nesting;
}
TEST(a_signal_handler_inside_a_handler_is_seen) {
  struct sigaction action;
  memset(&action, 0, sizeof action);
  action.sa_handler = on_signal;
  sigaction(SIGUSR1, &action, NULL);
  in_every_handler(raise_outermost, check_seen_in_signal);
}
TEST(a_signal_handler_on_its_own_stack_inside_a_handler_is_seen) {
  const stack_t stack = {.ss_sp = malloc(65536), .ss_size = 65536};
  CHECK_EQUAL(sigaltstack(&stack, NULL), 0);
  struct sigaction action;
  memset(&action, 0, sizeof action);
  action.sa_handler = on_signal;
  action.sa_flags = SA_ONSTACK;
  sigaction(SIGUSR1, &action, NULL);
  in_every_handler(raise_outermost, check_seen_in_signal);
}

// The same on a stack that lies above the thread's own as well as below it.
static void* raise_on_this_stack(void* argument) {
  const stack_t stack = {.ss_sp = argument, .ss_size = 65536};
  CHECK_EQUAL(sigaltstack(&stack, NULL), 0);
  in_every_handler(raise_outermost, check_seen_in_signal);
  return NULL;
}
TEST(a_signal_stack_above_or_below_the_threads_stack) {
  struct sigaction action;
  memset(&action, 0, sizeof action);
  action.sa_handler = on_signal;
  action.sa_flags = SA_ONSTACK;
  sigaction(SIGUSR1, &action, NULL);
  char* memory = mmap(NULL, 3 * 262144, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  for (int above = 0; above < 2; ++above) {
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    CHECK_EQUAL(pthread_attr_setstack(&attributes, memory + 262144, 262144), 0);
    pthread_t thread;
    char* stack = above ? memory + 2 * 262144 : memory;
    CHECK_EQUAL(pthread_create(&thread, &attributes, raise_on_this_stack, stack), 0);
    pthread_join(thread, NULL);
  }
}

// --- sleeping ---

static int asleep;
static int go_on;
static void sleep_until_told(void) {
  __atomic_store_n(&asleep, 1, __ATOMIC_RELEASE);
  while (!__atomic_load_n(&go_on, __ATOMIC_ACQUIRE)) sleep_ms(1);
}
static void* call_work(void* argument) {
  work();
  return argument;
}
static int unregistered;
static void* unregister_client(void* ops) {
  CHECK_OK(ct_unregister_ops(ops));
  __atomic_store_n(&unregistered, 1, __ATOMIC_RELEASE);
  return NULL;
}
static void check_sleeping(ct_ops* ops) {
  asleep = go_on = unregistered = 0;
  pthread_t sleeper;
  pthread_t manager;
  CHECK_EQUAL(pthread_create(&sleeper, NULL, call_work, NULL), 0);
  while (!__atomic_load_n(&asleep, __ATOMIC_ACQUIRE)) sleep_ms(1);
  CHECK_EQUAL(pthread_create(&manager, NULL, unregister_client, ops), 0);
  // Others are served meanwhile, and unregistering waits.
  sleep_ms(30);
  ct_ops* other = ct_new_callback(on_call, NULL, 0);
  void (*entry)(void) = at_entry;
  at_entry = NULL;
  attach(other, "signalled_work");
  signalled_work();
  CHECK_EQUAL(ct_ops_hits(other), 1);
  at_entry = entry;
  CHECK_EQUAL(__atomic_load_n(&unregistered, __ATOMIC_ACQUIRE), 0);
  __atomic_store_n(&go_on, 1, __ATOMIC_RELEASE);
  pthread_join(manager, NULL);
  pthread_join(sleeper, NULL);
  CHECK_OK(ct_free_ops(other));
}
TEST(unregistering_waits_for_a_handler_that_sleeps) { in_every_handler(sleep_until_told, check_sleeping); }

// --- the thread's end ---

static void exit_thread(void) { pthread_exit(NULL); }
static void cancel_thread(void) {
  pthread_cancel(pthread_self());
  pthread_testcancel();
}
static void check_thread_ended(ct_ops* ops) {
  for (uint64_t round = 1; round <= 5; ++round) {
    pthread_t thread;
    CHECK_EQUAL(pthread_create(&thread, NULL, call_work, NULL), 0);
    pthread_join(thread, NULL);
    CHECK_EQUAL(ct_ops_hits(ops), round);
  }
}
TEST(pthread_exit_in_a_handler) { in_every_handler(exit_thread, check_thread_ended); }
TEST(pthread_cancel_in_a_handler) { in_every_handler(cancel_thread, check_thread_ended); }
