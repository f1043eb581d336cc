// In which order the handlers of a function run, which stay after a client was disabled, and exact counts of
// what they have seen and missed.
#include <string.h>

#include "check.h"

static char log_text[256];
static void note(char what) {
  const size_t length = strlen(log_text);
  if (length + 1 < sizeof log_text) log_text[length] = what;
}

HOOKED void work(void) { note('.'); }
HOOKED void inner(void) { note(','); }

// Upper case at the entry, lower case at the exit.
static void on_call(uint64_t ip, uint64_t parent_ip, ct_ops* ops, ct_regs* regs) {
  (void)ip, (void)parent_ip, (void)regs;
  note(*(const char*)ct_ops_user(ops));
}
static int on_entry(uint64_t ip, uint64_t parent_ip, ct_ops* ops, ct_regs* regs, void* data) {
  (void)data;
  on_call(ip, parent_ip, ops, regs);
  return 0;
}
static void on_exit_of_call(uint64_t ip, uint64_t parent_ip, ct_ops* ops, ct_regs* regs, void* data) {
  (void)ip, (void)parent_ip, (void)regs, (void)data;
  note((char)(*(const char*)ct_ops_user(ops) + ('a' - 'A')));
}

static ct_ops* on_work(ct_ops* ops) {
  CHECK_OK(ct_set_filter(ops, "work", 0));
  return ops;
}
static ct_ops* new_probe(const char* name) {
  return on_work(ct_new_probe(on_entry, on_exit_of_call, 0, (void*)name, 0));
}

static void check_log(const char* expected, int line) {
  memset(log_text, 0, sizeof log_text);
  work();
  check_true(strcmp(log_text, expected) == 0, __FILE__, line, log_text);
}
#define CHECK_LOG(expected) check_log(expected, __LINE__)

TEST(entries_in_the_order_of_registration_and_exits_reversed) {
  ct_ops* a = new_probe("A");
  ct_ops* b = on_work(ct_new_callback(on_call, "B", 0));
  ct_ops* c = new_probe("C");
  ct_ops* d = on_work(ct_new_probe(NULL, on_exit_of_call, 0, "D", 0));
  CHECK_OK(ct_register_ops(c));
  CHECK_LOG("C.c");
  CHECK_OK(ct_register_ops(a));
  CHECK_LOG("CA.ac");
  CHECK_OK(ct_register_ops(d));
  CHECK_OK(ct_register_ops(b));
  CHECK_LOG("CAB.dac");
  CHECK_OK(ct_unregister_ops(a));
  CHECK_LOG("CB.dc");
  CHECK_OK(ct_register_ops(a));
  CHECK_LOG("CBA.adc");
  CHECK_OK(ct_free_ops(c));
  CHECK_OK(ct_free_ops(d));
  CHECK_LOG("BA.a");
  CHECK_OK(ct_free_ops(b));
  CHECK_LOG("A.a");
  CHECK_OK(ct_free_ops(a));
  CHECK_LOG(".");
}

TEST(an_enabled_client_comes_back_to_its_place) {
  ct_ops* a = new_probe("A");
  ct_ops* b = new_probe("B");
  ct_ops* c = new_probe("C");
  CHECK_OK(ct_register_ops(a));
  CHECK_OK(ct_register_ops(b));
  CHECK_OK(ct_register_ops(c));
  for (int round = 0; round < 3; ++round) {
    CHECK_LOG("ABC.cba");
    CHECK_OK(ct_disable_ops(b));
    CHECK_OK(ct_disable_ops(b));
    CHECK_LOG("AC.ca");
    CHECK_OK(ct_disable_ops(a));
    CHECK_LOG("C.c");
    CHECK_OK(ct_enable_ops(b));
    CHECK_LOG("BC.cb");
    CHECK_OK(ct_enable_ops(a));
    CHECK_OK(ct_enable_ops(a));
  }
  CHECK_OK(ct_set_enabled(0));
  CHECK_LOG(".");
  CHECK_OK(ct_set_enabled(1));
  CHECK_LOG("ABC.cba");
  // So does one that was taken off the function by its filter.
  CHECK_OK(ct_set_filter(a, "inner", 1));
  CHECK_LOG("BC.cb");
  CHECK_OK(ct_set_filter(a, "work", 1));
  CHECK_LOG("ABC.cba");
  CHECK_OK(ct_disable_ops(c));
  CHECK_OK(ct_unregister_ops(c));
  CHECK_LOG("AB.ba");
  CHECK_OK(ct_free_ops(a));
  CHECK_OK(ct_free_ops(b));
  CHECK_OK(ct_free_ops(c));
}

TEST(hits_are_exact_while_a_client_is_enabled_and_disabled) {
  ct_ops* ops[3];
  for (int i = 0; i < 3; ++i) {
    ops[i] = on_work(ct_new_callback(on_call, "A", i == 0 ? CT_GENERAL_REGS_ONLY : 0));
    CHECK_OK(ct_register_ops(ops[i]));
  }
  for (int round = 0; round < 10; ++round) {
    work();
    CHECK_OK(ct_disable_ops(ops[1]));
    work();
    CHECK_OK(ct_disable_ops(ops[2]));
    work();
    CHECK_OK(ct_enable_ops(ops[1]));
    CHECK_OK(ct_enable_ops(ops[2]));
  }
  CHECK_EQUAL(ct_ops_hits(ops[0]), 30);
  CHECK_EQUAL(ct_ops_hits(ops[1]), 10);
  CHECK_EQUAL(ct_ops_hits(ops[2]), 20);
  for (int i = 0; i < 3; ++i) CHECK_EQUAL(ct_ops_missed(ops[i]), 0);
  // Others get their places, and start from nothing.
  for (int i = 0; i < 3; ++i) CHECK_OK(ct_free_ops(ops[i]));
  ct_ops* next = on_work(ct_new_callback(on_call, "A", 0));
  CHECK_EQUAL(ct_ops_hits(next), 0);
  CHECK_OK(ct_register_ops(next));
  work();
  CHECK_EQUAL(ct_ops_hits(next), 1);
}

static void calls_others(uint64_t ip, uint64_t parent_ip, ct_ops* ops, ct_regs* regs) {
  (void)ip, (void)parent_ip, (void)ops, (void)regs;
  for (int i = 0; i < 3; ++i) inner();
  work();
}

TEST(what_a_handler_calls_is_missed_and_counted) {
  ct_ops* caller = on_work(ct_new_callback(calls_others, NULL, 0));
  ct_ops* callback = ct_new_callback(on_call, "A", 0);
  ct_ops* probe = ct_new_probe(on_entry, on_exit_of_call, 0, "B", 0);
  CHECK_OK(ct_set_filter(callback, "inner", 0));
  CHECK_OK(ct_set_filter(probe, "inner", 0));
  CHECK_OK(ct_register_ops(caller));
  CHECK_OK(ct_register_ops(callback));
  CHECK_OK(ct_register_ops(probe));
  for (int i = 0; i < 5; ++i) work();
  CHECK_EQUAL(ct_ops_hits(caller), 5);
  CHECK_EQUAL(ct_ops_missed(caller), 5);
  CHECK_EQUAL(ct_ops_hits(callback), 0);
  CHECK_EQUAL(ct_ops_missed(callback), 15);
  CHECK_EQUAL(ct_ops_missed(probe), 15);
  inner();
  CHECK_EQUAL(ct_ops_hits(callback), 1);
  CHECK_EQUAL(ct_ops_hits(probe), 1);
  CHECK_EQUAL(ct_ops_missed(probe), 15);
}

HOOKED void handler_with_entry(uint64_t ip, uint64_t parent_ip, ct_ops* ops, ct_regs* regs) {
  (void)ip, (void)parent_ip, (void)ops, (void)regs;
}
HOOKED __attribute__((patchable_function_entry(0, 0))) void handler_without_entry(uint64_t ip,
                                                                                  uint64_t parent_ip,
                                                                                  ct_ops* ops,
                                                                                  ct_regs* regs) {
  (void)ip, (void)parent_ip, (void)ops, (void)regs;
}

static void check_missed(ct_callback* handler, const char* notrace, unsigned missed) {
  ct_ops* all = ct_new_callback(handler, NULL, 0);
  CHECK_OK(ct_set_filter(all, "work", 0));
  CHECK_OK(ct_set_filter(all, "handler_*", 0));
  CHECK_OK(ct_set_notrace(all, notrace, 0));
  CHECK_OK(ct_register_ops(all));
  for (int i = 0; i < 5; ++i) work();
  CHECK_EQUAL(ct_ops_hits(all), 5);
  CHECK_EQUAL(ct_ops_missed(all), missed);
  CHECK_OK(ct_free_ops(all));
}

// Who selects it gets one missed call each time it runs.
TEST(a_handler_with_an_entry_is_a_call_like_those_it_makes) {
  check_missed(handler_with_entry, NULL, 5);
  check_missed(handler_with_entry, "handler_*", 0);
  check_missed(handler_without_entry, NULL, 0);
}
