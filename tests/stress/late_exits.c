// A call sleeps in a hooked function while its clients leave, their code is unmapped, and others take their
// places.
#include <dlfcn.h>
#include <pthread.h>
#include <semaphore.h>
#include <setjmp.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "trampolines.h"

static sem_t inside;
static sem_t go_on;

/// From a place that is no entry, so that a thread can be held anywhere.
static void hold(void) {
  sem_post(&inside);
  while (sem_wait(&go_on) != 0) {
  }
}

HOOKED long sleeping(long x) {
  hold();
  return x + 1;
}
HOOKED long quick(long x) { return x + 2; }

static void* call_sleeping(void* x) { return (void*)sleeping((long)x); }

static pthread_t start_sleeping(void) {
  pthread_t thread;
  sem_init(&inside, 0, 0);
  sem_init(&go_on, 0, 0);
  pthread_create(&thread, NULL, call_sleeping, (void*)41);
  sem_wait(&inside);
  return thread;
}

static long wake(pthread_t thread) {
  void* result;
  sem_post(&go_on);
  pthread_join(thread, &result);
  return (long)result;
}

static atomic_int entries;
static atomic_int exits;

static int on_entry(uint64_t ip, uint64_t parent, ct_ops* ops, ct_regs* regs, void* data) {
  (void)ip, (void)parent, (void)ops, (void)regs, (void)data;
  ++entries;
  return 0;
}
static void on_exit_of(uint64_t ip, uint64_t parent, ct_ops* ops, ct_regs* regs, void* data) {
  (void)ip, (void)parent, (void)ops, (void)regs, (void)data;
  ++exits;
}

static ct_ops* attached_probe(ct_entry_handler* entry, ct_exit_handler* exit, unsigned flags) {
  ct_ops* ops = ct_new_probe(entry, exit, 8, NULL, flags);
  CHECK_OK(ct_set_filter(ops, "sleeping", 0));
  CHECK_OK(ct_register_ops(ops));
  return ops;
}

/// Handlers in memory of their own, which is unmapped when they have left: nothing says more clearly that
/// they run.
struct code {
  ct_entry_handler* entry;
  ct_exit_handler* exit;
  void* memory;
};
static struct code map_handlers(void) {
  static const unsigned char bytes[] = RETURN_0_CODE;
  struct code code;
  code.memory = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  memcpy(code.memory, bytes, sizeof bytes);
  mprotect(code.memory, 4096, PROT_READ | PROT_EXEC);
  __builtin___clear_cache((char*)code.memory, (char*)code.memory + sizeof bytes);
  memcpy(&code.entry, &code.memory, sizeof code.memory);
  memcpy(&code.exit, &code.memory, sizeof code.memory);
  return code;
}

static void leave_while_sleeping(int probes, unsigned flags) {
  const struct code code = map_handlers();
  ct_ops* ops[4];
  for (int i = 0; i < probes; ++i) ops[i] = attached_probe(code.entry, code.exit, flags);
  const pthread_t thread = start_sleeping();
  for (int i = 0; i < probes; ++i) CHECK_OK(ct_free_ops(ops[i]));
  munmap(code.memory, 4096);
  // The places are others' now.
  for (int i = 0; i < probes; ++i) CHECK(attached_probe(on_entry, on_exit_of, flags) == ops[i]);
  CHECK_EQUAL(wake(thread), 42);
  CHECK_EQUAL(entries, 0);
  CHECK_EQUAL(exits, 0);
}
TEST(an_exit_of_a_client_that_has_left_does_not_run) { leave_while_sleeping(1, CT_GENERAL_REGS_ONLY); }
TEST(nor_with_vectors) { leave_while_sleeping(1, 0); }
TEST(exits_of_a_list_that_has_left_do_not_run) { leave_while_sleeping(4, CT_GENERAL_REGS_ONLY); }
TEST(nor_of_a_list_with_vectors) { leave_while_sleeping(3, 0); }

TEST(those_of_a_list_that_stay_run) {
  ct_ops* first = attached_probe(on_entry, on_exit_of, CT_GENERAL_REGS_ONLY);
  const struct code code = map_handlers();
  ct_ops* leaving = attached_probe(code.entry, code.exit, CT_GENERAL_REGS_ONLY);
  ct_ops* last = attached_probe(on_entry, on_exit_of, CT_GENERAL_REGS_ONLY);
  const pthread_t thread = start_sleeping();
  CHECK_OK(ct_free_ops(leaving));
  munmap(code.memory, 4096);
  CHECK_EQUAL(wake(thread), 42);
  CHECK_EQUAL(entries, 2);
  CHECK_EQUAL(exits, 2);
  CHECK_OK(ct_free_ops(first));
  CHECK_OK(ct_free_ops(last));
}

TEST(a_module_with_handlers_is_really_unloaded) {
  void* module = dlopen("late_exits_module.so", RTLD_NOW);
  if (module == NULL) printf("  %s\n", dlerror());
  ct_entry_handler* entry;
  ct_exit_handler* exit;
  *(void**)&entry = dlsym(module, "module_entry");
  *(void**)&exit = dlsym(module, "module_exit");
  ct_ops* ops = attached_probe(entry, exit, 0);
  const pthread_t thread = start_sleeping();
  CHECK_OK(ct_free_ops(ops));
  dlclose(module);
  CHECK(dlopen("late_exits_module.so", RTLD_NOW | RTLD_NOLOAD) == NULL);
  CHECK_EQUAL(wake(thread), 42);
}

TEST(a_disabled_client_gets_no_exit_of_a_call_from_before) {
  ct_ops* ops = attached_probe(on_entry, on_exit_of, 0);
  const pthread_t thread = start_sleeping();
  CHECK_OK(ct_disable_ops(ops));
  CHECK_OK(ct_enable_ops(ops));
  CHECK_EQUAL(wake(thread), 42);
  CHECK_EQUAL(entries, 1);
  CHECK_EQUAL(exits, 0);
}

// ------------------------------------------------------------------------------------------------ direct
// calls

__attribute__((no_stack_protector, used)) void hold_in_trampoline(void) { hold(); }
CALLING_TRAMPOLINE(sleeping_trampoline, hold_in_trampoline);

static void* call_quick(void* x) { return (void*)quick((long)x); }

TEST(a_call_returns_through_a_trampoline_that_was_unregistered) {
  ct_ops* ops = ct_new_ops(NULL, 0);
  CHECK_OK(ct_set_filter(ops, "quick", 0));
  CHECK_OK(ct_register_direct(ops, sleeping_trampoline));
  pthread_t thread;
  sem_init(&inside, 0, 0);
  sem_init(&go_on, 0, 0);
  pthread_create(&thread, NULL, call_quick, (void*)40);
  sem_wait(&inside);
  CHECK_OK(ct_unregister_direct(ops));
  CHECK_OK(ct_free_ops(ops));
  CHECK_EQUAL(quick(1), 3);  // goes past it
  // Another probe of the same function meanwhile: its entry is for later calls.
  ct_ops* probe = ct_new_probe(on_entry, on_exit_of, 0, NULL, 0);
  CHECK_OK(ct_set_filter(probe, "quick", 0));
  CHECK_OK(ct_register_ops(probe));
  CHECK_EQUAL(wake(thread), 42);
  CHECK_EQUAL(entries, 0);
  CHECK_EQUAL(exits, 0);
}

// ------------------------------------------------------------------------------------ calls that do not
// return

static jmp_buf back;
HOOKED long jumping(long x) {
  if (x > 0) longjmp(back, 1);
  return x;
}

TEST(a_longjmp_after_the_client_has_left) {
  static ct_ops* ops;
  ops = ct_new_probe(on_entry, on_exit_of, 8, NULL, 0);
  CHECK_OK(ct_set_filter(ops, "jumping", 0));
  for (int i = 0; i < 200; ++i) {
    if (i % 2 == 0) CHECK_OK(ct_register_ops(ops));
    if (setjmp(back) == 0) jumping(1);
    if (i % 2 != 0) CHECK_OK(ct_unregister_ops(ops));
    jumping(0);
  }
  CHECK_EQUAL(entries, ct_ops_hits(ops));
  CHECK_OK(ct_free_ops(ops));
  CHECK(exits <= entries);
}

TEST(a_cancelled_thread_whose_client_has_left) {
  ct_ops* ops = attached_probe(on_entry, on_exit_of, 0);
  const pthread_t thread = start_sleeping();
  CHECK_OK(ct_free_ops(ops));
  void* result;
  pthread_cancel(thread);
  pthread_join(thread, &result);
  CHECK(result == PTHREAD_CANCELED);
  CHECK_EQUAL(exits, 0);
  ct_free_ops(attached_probe(on_entry, on_exit_of, 0));
}

TEST(a_cancelled_thread_whose_client_is_there) {
  ct_ops* ops = attached_probe(on_entry, on_exit_of, 0);
  const pthread_t thread = start_sleeping();
  pthread_cancel(thread);
  pthread_join(thread, NULL);
  CHECK_EQUAL(exits, 1);
  CHECK_OK(ct_free_ops(ops));
}

// ---------------------------------------------------------------------------------------------- held
// handlers

static int hold_in_entry(uint64_t ip, uint64_t parent, ct_ops* ops, ct_regs* regs, void* data) {
  (void)ip, (void)parent, (void)ops, (void)regs, (void)data;
  hold();
  ++entries;
  return 0;
}

static ct_ops* to_unregister;
static atomic_int unregistered;
static void* unregister_it(void* unused) {
  CHECK_OK(ct_unregister_ops(to_unregister));
  unregistered = 1;
  return unused;
}

static pthread_t start_held_handler(void) {
  to_unregister = ct_new_probe(hold_in_entry, on_exit_of, 0, NULL, 0);
  CHECK_OK(ct_set_filter(to_unregister, "quick", 0));
  CHECK_OK(ct_register_ops(to_unregister));
  pthread_t thread;
  sem_init(&inside, 0, 0);
  sem_init(&go_on, 0, 0);
  pthread_create(&thread, NULL, call_quick, (void*)40);
  sem_wait(&inside);
  return thread;
}

TEST(unregister_waits_for_a_handler_that_runs) {
  const pthread_t caller = start_held_handler();
  pthread_t other;
  pthread_create(&other, NULL, unregister_it, NULL);
  while (ct_ops_functions(to_unregister) != 0) sleep_ms(1);
  sleep_ms(50);
  CHECK_EQUAL(unregistered, 0);
  CHECK_EQUAL(quick(1), 3);  // already detached
  CHECK_EQUAL(wake(caller), 42);
  pthread_join(other, NULL);
  CHECK_EQUAL(unregistered, 1);
  CHECK_EQUAL(entries, 1);
}

TEST(others_register_while_a_handler_runs_and_an_unregister_waits) {
  const pthread_t caller = start_held_handler();
  pthread_t other;
  pthread_create(&other, NULL, unregister_it, NULL);
  while (ct_ops_functions(to_unregister) != 0) sleep_ms(1);
  ct_ops* ops = ct_new_probe(on_entry, on_exit_of, 0, NULL, 0);
  for (int i = 0; i < 300; ++i) {  // more sets than are freed at once
    CHECK_OK(ct_set_filter(ops, i % 2 == 0 ? "quick" : "sleeping", 1));
    if (i == 0) CHECK_OK(ct_register_ops(ops));
  }
  CHECK_OK(ct_set_filter(ops, "quick", 1));
  CHECK_EQUAL(quick(1), 3);
  CHECK_EQUAL(entries, 1);
  CHECK_EQUAL(exits, 1);
  CHECK_EQUAL(unregistered, 0);
  CHECK_EQUAL(wake(caller), 42);
  pthread_join(other, NULL);
}

TEST(a_forked_child_waits_for_no_handler_of_its_parent) {
  const pthread_t caller = start_held_handler();
  const pid_t child = fork();
  if (child == 0) {
    alarm(20);
    ct_ops* ops = ct_new_probe(on_entry, on_exit_of, 0, NULL, 0);
    int failed = ct_set_filter(ops, "quick", 0) | ct_register_ops(ops) | ct_unregister_ops(to_unregister);
    failed |= quick(1) != 3 || entries != 1 || exits != 1;
    failed |= ct_free_ops(ops);
    _exit(failed != 0);
  }
  int status;
  waitpid(child, &status, 0);
  CHECK_EQUAL(status, 0);
  CHECK_EQUAL(wake(caller), 42);
  CHECK_OK(ct_free_ops(to_unregister));
}

static int fork_in_entry(uint64_t ip, uint64_t parent, ct_ops* ops, ct_regs* regs, void* data) {
  (void)ip, (void)parent, (void)ops, (void)regs;
  *(pid_t*)data = fork();
  return 0;
}
static atomic_int child_status;
static void wait_in_exit(uint64_t ip, uint64_t parent, ct_ops* ops, ct_regs* regs, void* data) {
  (void)ip, (void)parent, (void)ops, (void)regs;
  int status = 0;
  if (*(pid_t*)data != 0) waitpid(*(pid_t*)data, &status, 0);
  child_status = status;
  ++exits;
  if (*(pid_t*)data == 0) _exit(exits == 1 ? 7 : 1);
}
TEST(a_handler_that_forks_has_its_exit_in_both_processes) {
  ct_ops* ops = ct_new_probe(fork_in_entry, wait_in_exit, 8, NULL, 0);
  CHECK_OK(ct_set_filter(ops, "quick", 0));
  CHECK_OK(ct_register_ops(ops));
  CHECK_EQUAL(quick(1), 3);
  CHECK_EQUAL(exits, 1);
  CHECK_EQUAL(WEXITSTATUS(child_status), 7);
  CHECK_OK(ct_free_ops(ops));
}
