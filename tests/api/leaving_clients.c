// A client that one thread is still unregistering, and what has been freed, are nobody's to use.
#define _GNU_SOURCE
#include <pthread.h>
#include <stdatomic.h>

#include "check.h"

HOOKED int work(int value) { return value + 1; }

static atomic_int in_handler, go_on, handler_done, freed, unregistered;

static void hold(uint64_t ip, uint64_t parent_ip, ct_ops* ops, ct_regs* regs) {
  (void)ip, (void)parent_ip, (void)ops, (void)regs;
  in_handler = 1;
  while (!go_on) sleep_ms(1);
  handler_done = 1;
}

static unsigned calls;
static void count(uint64_t ip, uint64_t parent_ip, ct_ops* ops, ct_regs* regs) {
  (void)ip, (void)parent_ip, (void)ops, (void)regs;
  ++calls;
}

static void* call_work(void* argument) {
  (void)argument;
  work(1);
  return NULL;
}

static void* unregister(void* ops) {
  CHECK_OK(ct_unregister_ops(ops));
  CHECK(handler_done);
  unregistered = 1;
  return NULL;
}

static void* free_it(void* ops) {
  CHECK_OK(ct_free_ops(ops));
  CHECK(handler_done);
  freed = 1;
  return NULL;
}

static ct_ops* ops;
static pthread_t caller, unregisterer;

// On return a handler of `ops` is held, and a thread waits for it in ct_unregister_ops().
static void begin(void) {
  ops = ct_new_callback(hold, NULL, 0);
  CHECK_OK(ct_set_filter(ops, "work", 0));
  CHECK_OK(ct_register_ops(ops));
  CHECK_EQUAL(pthread_create(&caller, NULL, call_work, NULL), 0);
  while (!in_handler) sleep_ms(1);
  CHECK_EQUAL(pthread_create(&unregisterer, NULL, unregister, ops), 0);
  while (ct_ops_functions(ops) != 0) sleep_ms(1);
}

static void end(void) {
  go_on = 1;
  pthread_join(caller, NULL);
  pthread_join(unregisterer, NULL);
}

TEST(freeing_waits_for_handlers_that_another_threads_unregister_waits_for) {
  begin();
  pthread_t freer;
  CHECK_EQUAL(pthread_create(&freer, NULL, free_it, ops), 0);
  for (unsigned i = 0; i < 20; ++i) {
    sleep_ms(10);
    CHECK(!freed);
  }
  ct_ops* other = ct_new_callback(count, NULL, 0);
  CHECK(other != ops);
  end();
  pthread_join(freer, NULL);
  CHECK(freed);
  ct_ops* reused = ct_new_callback(count, NULL, 0);
  CHECK(reused == ops);
  CHECK_OK(ct_set_filter(reused, "work", 0));
  CHECK_OK(ct_register_ops(reused));
  CHECK_EQUAL(work(1), 2);
  CHECK_EQUAL(calls, 1);
  CHECK_OK(ct_free_ops(reused));
  CHECK_OK(ct_free_ops(other));
}

TEST(nothing_else_can_be_done_with_a_client_that_is_leaving) {
  begin();
  CHECK_FAILS(ct_unregister_ops(ops), ESRCH, "another thread is unregistering");
  CHECK_FAILS(ct_disable_ops(ops), ESRCH, "not registered");
  CHECK_FAILS(ct_register_ops(ops), EEXIST, "another thread is unregistering");
  CHECK_FAILS(ct_register_redirect(ops, (void*)work), EEXIST, "another thread is unregistering");
  CHECK(!unregistered);
  end();
  CHECK_OK(ct_register_ops(ops));
  CHECK_OK(ct_free_ops(ops));
}

TEST(what_has_been_freed_is_refused) {
  ops = ct_new_callback(count, NULL, 0);
  CHECK_OK(ct_free_ops(ops));
  CHECK_FAILS(ct_free_ops(ops), EINVAL, "freed");
  CHECK_FAILS(ct_register_ops(ops), EINVAL, "freed");
  CHECK_FAILS(ct_unregister_ops(ops), EINVAL, "freed");
  CHECK_FAILS(ct_disable_ops(ops), EINVAL, "freed");
  CHECK_FAILS(ct_enable_ops(ops), EINVAL, "freed");
  CHECK_FAILS(ct_set_filter(ops, "work", 0), EINVAL, "freed");
  CHECK_FAILS(ct_set_notrace(ops, "work", 0), EINVAL, "freed");
  CHECK_FAILS(ct_set_filter_symbol(ops, "work", 0), EINVAL, "freed");
  CHECK_FAILS(ct_set_filter_ip(ops, (uintptr_t)work, 0, 0), EINVAL, "freed");
  CHECK_FAILS(ct_register_direct(ops, (void*)call_work), EINVAL, "freed");
  CHECK_FAILS(ct_modify_direct(ops, (void*)call_work), EINVAL, "freed");
  CHECK_FAILS(ct_register_redirect(ops, (void*)call_work), EINVAL, "freed");
  CHECK_FAILS(ct_unregister_redirect(ops), EINVAL, "freed");
}

TEST(null_is_refused) {
  CHECK_OK(ct_free_ops(NULL));
  CHECK_FAILS(ct_register_ops(NULL), EINVAL, "NULL");
  CHECK_FAILS(ct_unregister_ops(NULL), EINVAL, "NULL");
  CHECK_FAILS(ct_disable_ops(NULL), EINVAL, "NULL");
  CHECK_FAILS(ct_enable_ops(NULL), EINVAL, "NULL");
  CHECK_FAILS(ct_set_filter(NULL, "work", 0), EINVAL, "NULL");
  CHECK_FAILS(ct_set_notrace(NULL, "work", 0), EINVAL, "NULL");
  CHECK_FAILS(ct_set_filter_symbol(NULL, "work", 0), EINVAL, "NULL");
  CHECK_FAILS(ct_set_filter_ip(NULL, (uintptr_t)work, 0, 0), EINVAL, "NULL");
  CHECK_FAILS(ct_register_direct(NULL, (void*)call_work), EINVAL, "NULL");
  CHECK_FAILS(ct_unregister_direct(NULL), EINVAL, "NULL");
  CHECK_FAILS(ct_modify_direct(NULL, (void*)call_work), EINVAL, "NULL");
  CHECK_FAILS(ct_register_redirect(NULL, (void*)call_work), EINVAL, "NULL");
  CHECK_FAILS(ct_unregister_redirect(NULL), EINVAL, "NULL");
  CHECK(ct_ops_user(NULL) == NULL);
  CHECK_EQUAL(ct_ops_hits(NULL), 0);
  CHECK_EQUAL(ct_ops_missed(NULL), 0);
  CHECK_EQUAL(ct_ops_functions(NULL), 0);
  CHECK(ct_enabled_functions(NULL, 100) >= 0);

  ops = ct_new_callback(count, NULL, 0);
  CHECK_OK(ct_set_name(ops, NULL));
  CHECK_FAILS(ct_set_name(NULL, "name"), EINVAL, "NULL");
  CHECK_FAILS(ct_set_filter_symbol(ops, NULL, 0), EINVAL, "NULL");
  CHECK_OK(ct_set_filter(ops, "no_such_function", 0));
  CHECK_OK(ct_set_filter(ops, NULL, 0));  // nothing
  CHECK_FAILS(ct_register_ops(ops), ENOENT, "");
  CHECK_OK(ct_set_filter(ops, NULL, 1));  // drops the patterns: all functions
  CHECK_OK(ct_register_ops(ops));
  CHECK_OK(ct_free_ops(ops));
}
