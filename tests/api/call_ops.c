// Sites that call: with CALLTAP_CALL_OPS in the environment, and the kernel's layout of entries.
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>

#include "call_site.h"
#include "check.h"
#include "trampolines.h"

HOOKED int number(void) {
  __asm__ volatile("");
  return 1;
}
HOOKED int other_number(void) {
  __asm__ volatile("");
  return 1;
}

DIRECT_TRAMPOLINE(count_direct, direct_calls);
DIRECT_TRAMPOLINE(count_other_direct, other_direct_calls);

static atomic_uint entries;
static atomic_uint exits;

static void count(uint64_t ip, uint64_t parent_ip, ct_ops* ops, ct_regs* regs) {
  (void)parent_ip, (void)ops, (void)regs;
  if (ip == (uint64_t)(uintptr_t)number) ++entries;
}

static int count_entry(uint64_t ip, uint64_t parent_ip, ct_ops* ops, ct_regs* regs, void* data) {
  (void)data;
  count(ip, parent_ip, ops, regs);
  return 0;
}

static void count_exit(uint64_t ip, uint64_t parent_ip, ct_ops* ops, ct_regs* regs, void* data) {
  (void)ip, (void)parent_ip, (void)ops, (void)data;
  if (ct_regs_return_value(regs) == 1) ++exits;
}

static int replaced_number(void) { return 2; }

static ct_ops* for_number(ct_ops* ops) {
  CHECK_OK(ct_set_filter(ops, "number", 0));
  return ops;
}

static const uint64_t* literal(void) { return (const uint64_t*)((uintptr_t)number - sizeof(uint64_t)); }

TEST(the_literal_is_there_before_the_call_and_stays) {
  CHECK(!is_prepared((void*)number));
  ct_ops* ops = for_number(ct_new_callback(count, NULL, 0));
  CHECK_OK(ct_register_ops(ops));
  CHECK(is_prepared((void*)number));
  CHECK(is_calling((void*)number));
  CHECK_EQUAL(*literal() % sizeof(uint64_t), 0);
  const uint64_t* record = (const uint64_t*)(uintptr_t)*literal();
  CHECK(record[0] != 0);
  CHECK_EQUAL(number(), 1);
  CHECK_EQUAL(entries, 1);
  CHECK_OK(ct_unregister_ops(ops));
  CHECK(is_prepared((void*)number));
  CHECK(is_off((void*)number));
  CHECK_EQUAL((uintptr_t)record, *literal());
  CHECK(record[0] != 0);
  CHECK_EQUAL(number(), 1);
  CHECK_EQUAL(entries, 1);
  CHECK_OK(ct_free_ops(ops));
}

TEST(a_lone_direct_call_is_the_records_first_word) {
  ct_ops* direct = for_number(ct_new_ops(NULL, 0));
  CHECK_OK(ct_register_direct(direct, count_direct));
  const uint64_t* record = (const uint64_t*)(uintptr_t)*literal();
  CHECK_EQUAL(record[0], (uintptr_t)count_direct);
  CHECK_EQUAL(number(), 1);
  CHECK_EQUAL(direct_calls, 1);
  ct_ops* ops = for_number(ct_new_callback(count, NULL, 0));
  CHECK_OK(ct_register_ops(ops));
  CHECK(record[0] != (uintptr_t)count_direct);
  CHECK_EQUAL(number(), 1);
  CHECK_EQUAL(direct_calls, 2);
  CHECK_EQUAL(entries, 1);
  CHECK_OK(ct_free_ops(ops));
  CHECK_EQUAL(record[0], (uintptr_t)count_direct);
  CHECK_OK(ct_free_ops(direct));
  CHECK(is_off((void*)number));
}

// A trampoline that no site of the program reaches, and leads to count_direct().
static const void* make_far_trampoline(void) {
  static const uint32_t jump[] = JUMP_FROM_AFAR;
  const void* const to = count_direct;
  for (uintptr_t distance = FAR_AWAY; distance < FAR_AWAY << 5; distance += FAR_AWAY) {
    char* memory = (char*)mmap((void*)(((uintptr_t)number & ~(uintptr_t)0xffff) + distance), 4096,
                               PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == (char*)MAP_FAILED) continue;
    const uintptr_t above = (uintptr_t)memory - (uintptr_t)number;
    const uintptr_t apart = above < -above ? above : -above;
    if (apart >= FAR_AWAY / 2) {
      memcpy(memory, jump, sizeof jump);
      memcpy(memory + sizeof jump, &to, sizeof to);
      __builtin___clear_cache(memory, memory + 4096);
      return mprotect(memory, 4096, PROT_READ | PROT_EXEC) == 0 ? memory : NULL;
    }
    munmap(memory, 4096);
  }
  return NULL;
}

static int is_called_straight(const void* trampoline) { return called_by((void*)number) == trampoline; }

TEST(a_lone_direct_call_in_reach_is_called_straight) {
  const void* const far_direct = make_far_trampoline();
  CHECK(far_direct != NULL);
  ct_ops* direct = for_number(ct_new_ops(NULL, 0));
  CHECK_OK(ct_register_direct(direct, count_direct));
  const uint64_t* record = (const uint64_t*)(uintptr_t)*literal();
  CHECK_EQUAL(is_called_straight(count_direct), kReachesProgram);
  number();
  CHECK_EQUAL(direct_calls, 1);
  // Beside another client it is not, until that is gone.
  ct_ops* ops = for_number(ct_new_callback(count, NULL, 0));
  CHECK_OK(ct_register_ops(ops));
  CHECK(!is_called_straight(count_direct));
  const void* const stub = called_by((void*)number);
  number();
  CHECK_EQUAL(direct_calls, 2);
  CHECK_EQUAL(entries, 1);
  CHECK_OK(ct_modify_direct(direct, count_other_direct));
  CHECK(is_called_straight(stub));
  number();
  CHECK_EQUAL(other_direct_calls, 1);
  CHECK_OK(ct_free_ops(ops));
  CHECK_EQUAL(is_called_straight(count_other_direct), kReachesProgram);
  number();
  CHECK_EQUAL(other_direct_calls, 2);
  // The other trampoline, one out of reach, and back again.
  CHECK_OK(ct_modify_direct(direct, count_direct));
  CHECK_EQUAL(is_called_straight(count_direct), kReachesProgram);
  CHECK_OK(ct_modify_direct(direct, far_direct));
  CHECK(is_called_straight(stub));
  CHECK_EQUAL(record[0], (uintptr_t)far_direct);
  number();
  CHECK_EQUAL(direct_calls, 3);
  CHECK_OK(ct_modify_direct(direct, count_direct));
  CHECK_EQUAL(is_called_straight(count_direct), kReachesProgram);
  ct_ops* redirect = for_number(ct_new_ops(NULL, 0));
  CHECK_OK(ct_register_redirect(redirect, (void*)replaced_number));
  CHECK(is_called_straight(stub));
  CHECK_EQUAL(number(), 2);
  CHECK_OK(ct_free_ops(redirect));
  CHECK_EQUAL(number(), 1);
  CHECK_EQUAL(direct_calls, 5);
  // Off, and on again with one out of reach.
  CHECK_OK(ct_unregister_direct(direct));
  CHECK(is_off((void*)number));
  CHECK_OK(ct_register_direct(direct, far_direct));
  CHECK(is_called_straight(stub));
  number();
  CHECK_EQUAL(direct_calls, 6);
  CHECK_EQUAL(other_direct_calls, 2);
  CHECK_OK(ct_free_ops(direct));
  CHECK(is_off((void*)number));
}

static atomic_int stop;
static atomic_uint_fast64_t calls;

static void* call_number(void* unused) {
  (void)unused;
  uint64_t own_calls = 0;
  for (; !stop; ++own_calls) number();
  calls += own_calls;
  return NULL;
}

TEST(every_call_goes_to_one_trampoline_while_they_are_exchanged) {
  const void* const trampolines[] = {count_direct, make_far_trampoline(), count_other_direct};
  CHECK(trampolines[1] != NULL);
  ct_ops* direct = for_number(ct_new_ops(NULL, 0));
  ct_ops* ops = for_number(ct_new_callback(count, NULL, CT_GENERAL_REGS_ONLY));
  CHECK_OK(ct_register_direct(direct, count_direct));
  CHECK(is_calling((void*)number));
  pthread_t threads[2];
  for (int i = 0; i < 2; ++i) CHECK_EQUAL(pthread_create(&threads[i], NULL, call_number, NULL), 0);
  for (int turn = 0; turn < 500; ++turn) {
    CHECK_OK(ct_modify_direct(direct, trampolines[turn % 3]));
    if (turn % 5 == 0) CHECK_OK(ct_register_ops(ops));
    if (turn % 5 == 2) CHECK_OK(ct_unregister_ops(ops));
    if (turn % 50 == 0) sched_yield();
  }
  stop = 1;
  for (int i = 0; i < 2; ++i) pthread_join(threads[i], NULL);
  CHECK_EQUAL(direct_calls + other_direct_calls, calls);
  CHECK(direct_calls != 0);
  CHECK_OK(ct_free_ops(ops));
  CHECK_OK(ct_free_ops(direct));
}

TEST(every_kind_of_client_works_alone_and_beside_others) {
  ct_ops* all[4] = {for_number(ct_new_callback(count, NULL, 0)),
                    for_number(ct_new_probe(count_entry, count_exit, 0, NULL, 0)),
                    for_number(ct_new_ops(NULL, 0)), for_number(ct_new_ops(NULL, 0))};
  for (unsigned set = 0; set < 16; ++set) {
    if (set & 1) CHECK_OK(ct_register_ops(all[0]));
    if (set & 2) CHECK_OK(ct_register_ops(all[1]));
    if (set & 4) CHECK_OK(ct_register_direct(all[2], count_direct));
    if (set & 8) CHECK_OK(ct_register_redirect(all[3], (void*)replaced_number));
    entries = exits = 0;
    direct_calls = 0;
    CHECK_EQUAL(number(), set & 8 ? 2 : 1);
    CHECK_EQUAL(entries, (set & 1) + (set >> 1 & 1));
    CHECK_EQUAL(exits, (set & 2) != 0 && (set & 8) == 0);
    CHECK_EQUAL(direct_calls, set >> 2 & 1);
    if (set & 1) CHECK_OK(ct_unregister_ops(all[0]));
    if (set & 2) CHECK_OK(ct_unregister_ops(all[1]));
    if (set & 4) CHECK_OK(ct_unregister_direct(all[2]));
    if (set & 8) CHECK_OK(ct_unregister_redirect(all[3]));
  }
  for (int i = 0; i < 4; ++i) CHECK_OK(ct_free_ops(all[i]));
}

static void* run_other(void* unused) {
  (void)unused;
  while (!stop) other_number();
  return NULL;
}

TEST(a_site_that_a_thread_may_be_inside_of_jumps) {
  pthread_t thread;
  CHECK_EQUAL(pthread_create(&thread, NULL, run_other, NULL), 0);
  ct_ops* ops = for_number(ct_new_callback(count, NULL, 0));
  CHECK_OK(ct_register_ops(ops));
  CHECK(!is_prepared((void*)number));
  CHECK_EQUAL(number(), 1);
  CHECK_EQUAL(entries, 1);
  stop = 1;
  pthread_join(thread, NULL);
  CHECK_OK(ct_free_ops(ops));
}

// Twenty functions at a time.
#define MANY(m)                                                                                           \
  m(0) m(1) m(2) m(3) m(4) m(5) m(6) m(7) m(8) m(9) m(10) m(11) m(12) m(13) m(14) m(15) m(16) m(17) m(18) \
      m(19)
#define DEFINE(n)             \
  HOOKED int many_##n(void) { \
    __asm__ volatile("");     \
    return n;                 \
  }
MANY(DEFINE)
#define NAME(n) many_##n,
static int (*const many[])(void) = {MANY(NAME)};
enum { kMany = sizeof many / sizeof many[0], kThreads = 4 };

static atomic_uint wrong;
static atomic_uint_fast64_t seen[2];

// Its own ops, and one of the functions.
static void check_own(ct_ops* ops, uint64_t ip, unsigned which) {
  int known = 0;
  for (int i = 0; i < kMany; ++i) known |= ip == (uint64_t)(uintptr_t)many[i];
  if (!known || *(const unsigned*)ct_ops_user(ops) != which) ++wrong;
  ++seen[which];
}
static void first_handler(uint64_t ip, uint64_t parent_ip, ct_ops* ops, ct_regs* regs) {
  (void)parent_ip, (void)regs;
  check_own(ops, ip, 0);
}
static void second_handler(uint64_t ip, uint64_t parent_ip, ct_ops* ops, ct_regs* regs) {
  (void)parent_ip, (void)regs;
  check_own(ops, ip, 1);
}

static void* call_many(void* unused) {
  (void)unused;
  while (!stop) {
    for (int i = 0; i < kMany; ++i) {
      if (many[i]() != i) ++wrong;
    }
  }
  return NULL;
}

TEST(four_threads_call_while_clients_are_exchanged_a_hundred_thousand_times) {
  static unsigned which[2] = {0, 1};
  ct_ops* first = ct_new_callback(first_handler, &which[0], CT_GENERAL_REGS_ONLY);
  ct_ops* second = ct_new_callback(second_handler, &which[1], 0);
  CHECK_OK(ct_set_filter(first, "many_*", 0));
  CHECK_OK(ct_set_filter(second, "many_*", 0));
  CHECK_OK(ct_register_ops(first));  // nobody can be inside yet
  CHECK(is_calling((void*)many_0));
  CHECK_OK(ct_unregister_ops(first));
  pthread_t threads[kThreads];
  for (int i = 0; i < kThreads; ++i) CHECK_EQUAL(pthread_create(&threads[i], NULL, call_many, NULL), 0);
  // Off, one, both, the other, off: four changes of each function a turn.
  const int kTurns = 100000 / (4 * kMany);
  for (int turn = 0; turn < kTurns; ++turn) {
    if (ct_register_ops(first) != 0 || ct_register_ops(second) != 0) ++wrong;
    if (seen[0] == 0) sched_yield();  // with a single CPU nobody else runs until then
    if (ct_unregister_ops(first) != 0) ++wrong;
    const uint64_t before = seen[0];
    sched_yield();
    if (seen[0] != before) ++wrong;  // it no longer runs
    if (ct_unregister_ops(second) != 0) ++wrong;
  }
  stop = 1;
  for (int i = 0; i < kThreads; ++i) pthread_join(threads[i], NULL);
  CHECK_EQUAL(wrong, 0);
  CHECK(seen[0] != 0);
  CHECK(seen[1] != 0);
  CHECK_EQUAL(ct_ops_hits(first), seen[0]);
  CHECK_EQUAL(ct_ops_hits(second), seen[1]);
  CHECK(is_off((void*)many_0));
  CHECK_OK(ct_free_ops(first));
  CHECK_OK(ct_free_ops(second));
}
