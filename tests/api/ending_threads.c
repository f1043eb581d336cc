// Threads that end in the middle of a hooked call, by pthread_exit() and by being cancelled at a cancellation
// point, in everything that a site runs: each handler, the direct call's trampoline, the function or its
// replacement.
//   - The thread runs its cleanup handlers, outside of all handlers: its calls are hooked as before.
//   - Clients can be unregistered while it still lives.
//   - Exits that are pending run, with ct_regs_unwound(), each once; before the last entry handler has
//   returned there
//     are none.
//   - Threads that call the same function notice nothing.
#include <ctype.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdlib.h>
#include <string.h>
#include <unwind.h>

#include "check.h"
#include "dispatch_kinds.h"
#include "trampolines.h"

// The thread that ends, and in which step of its call: entry handlers, then direct call, body and exit
// handlers, from 0.
static _Thread_local int is_ending;
static int ends_in_step;
static int is_cancelled;
static int step;
static sem_t at_cancellation_point;
static sem_t never;
static sem_t cleaning_up;
static sem_t go_on;
static int own_cleanups;  // of what the thread ended in

// What the thread that ends has seen.
static struct Seen {
  int entries;
  int bodies;
  int exits;
  int unwound;
} seen, seen_at_end;

static void note_cleanup(void* unused) {
  (void)unused;
  ++own_cleanups;
}

static void* run_ending(void* unused);
static int callers;
static _Unwind_Reason_Code look_for_caller(struct _Unwind_Context* context, void* unused) {
  (void)unused;
  // Unwind tables may begin behind the entry's NOPs.
  const uintptr_t function = (uintptr_t)_Unwind_FindEnclosingFunction((void*)(_Unwind_GetIP(context) - 1));
  callers += function - (uintptr_t)run_ending <= 32;
  return _URC_NO_REASON;
}

static void next_step(void) {
  if (step++ != ends_in_step) return;
  _Unwind_Backtrace(look_for_caller, NULL);  // by the program's own unwinder, if it has one
  pthread_cleanup_push(note_cleanup, NULL);
  if (!is_cancelled) pthread_exit(&never);
  sem_post(&at_cancellation_point);
  for (;;) sem_wait(&never);
  pthread_cleanup_pop(0);
}

HOOKED int work(int value) {
  if (is_ending) {
    ++seen.bodies;
    next_step();
  }
  return value + 1;
}
static int replaced_work(int value) {
  if (is_ending) {
    ++seen.bodies;
    next_step();
  }
  return value + 1;
}

static void on_entry(uint64_t ip, uint64_t parent_ip, ct_ops* ops, ct_regs* regs) {
  (void)ip, (void)parent_ip, (void)ops, (void)regs;
  if (!is_ending) return;
  ++seen.entries;
  next_step();
}
static int on_probe_entry(uint64_t ip, uint64_t parent_ip, ct_ops* ops, ct_regs* regs, void* data) {
  (void)data;
  on_entry(ip, parent_ip, ops, regs);
  return 0;
}
static void on_probe_exit(uint64_t ip, uint64_t parent_ip, ct_ops* ops, ct_regs* regs, void* data) {
  (void)ip, (void)parent_ip, (void)ops, (void)data;
  if (!is_ending) return;
  ++seen.exits;
  seen.unwound += ct_regs_unwound(regs) != 0;
  next_step();
}
static void set_ip(uint64_t ip, uint64_t parent_ip, ct_ops* ops, ct_regs* regs) {
  ct_regs_set_ip(regs, (uintptr_t)replaced_work);
  on_entry(ip, parent_ip, ops, regs);
}
static void override_return(uint64_t ip, uint64_t parent_ip, ct_ops* ops, ct_regs* regs) {
  ct_regs_override_return(regs, 8);
  on_entry(ip, parent_ip, ops, regs);
}
__attribute__((used)) void in_ending_direct(void) {
  if (is_ending && kUnwindsFromTrampolines) next_step();
}

CALLING_TRAMPOLINE(ending_direct, in_ending_direct);

static const struct DispatchClients kClients = {
    .general = {on_entry, on_probe_entry, on_probe_exit},
    .vectors = {on_entry, on_probe_entry, on_probe_exit},
    .set_ip = set_ip,
    .override_return = override_return,
    .direct = ending_direct,
    .replacement = (const void*)replaced_work,
};

__attribute__((noinline)) static int call_work(int value) {
  const int result = work(value);
  __asm__ volatile("");
  return result;
}

// --- what a call of a kind consists of ---

static int has_letter(char letter, const char* letters) {
  return strchr(letters, tolower((unsigned char)letter)) != NULL;
}
static int has_entry(char letter) { return has_letter(letter, "epio"); }
static int has_exit(char letter) { return has_letter(letter, "px"); }

static struct Steps {
  int entries;
  int exits;
  int direct;
  int bodies;
} steps_of(const struct DispatchKind* kind) {
  struct Steps steps = {0, 0, 0, 1};
  int is_set_ip = 0;
  for (const char* letter = kind->clients; *letter != '\0'; ++letter) {
    steps.entries += has_entry(*letter);
    steps.exits += has_exit(*letter);
    steps.direct += kUnwindsFromTrampolines && *letter == 'd';
    is_set_ip += has_letter(*letter, "i");
  }
  if (is_overridden(kind)) steps.bodies = 0;
  if (is_overridden(kind) || is_set_ip) steps.direct = 0;
  return steps;
}

/// The clients whose entry was reached when the call ended in this step, from the first.
static int clients_reached(const struct DispatchKind* kind) {
  int entry = 0;
  for (int i = 0; kind->clients[i] != '\0'; ++i) {
    if (has_entry(kind->clients[i]) && entry++ == ends_in_step) return i + 1;
  }
  return (int)strlen(kind->clients);
}

// --- the threads ---

/// Below all handlers.
static void clean_up(void* unused) {
  (void)unused;
  seen_at_end = seen;
  CHECK_EQUAL(call_work(7), 8);
  sem_post(&cleaning_up);
  while (sem_wait(&go_on) != 0) {
  }
}

static void* run_ending(void* unused) {
  is_ending = 1;
  pthread_cleanup_push(clean_up, NULL);
  call_work(7);
  CHECK(!"the thread has not ended");
  pthread_cleanup_pop(0);
  return unused;
}

static int stop;
static uint64_t calls_of_bystander;
static void* run_bystander(void* unused) {
  uint64_t calls = 0;
  while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
    if (call_work(7) != 8) CHECK(!"wrong result");
    ++calls;
    sleep_ms(0);
  }
  calls_of_bystander = calls;
  return unused;
}

static pthread_t start(void* (*run)(void*)) {
  pthread_t thread;
  if (pthread_create(&thread, NULL, run, NULL) != 0) abort();
  return thread;
}

static void check_seen(const struct DispatchKind* kind, const struct Steps* steps) {
  const int first_exit = steps->entries + steps->direct + steps->bodies;
  if (ends_in_step < steps->entries) {
    // Whose entry handler has returned sees the end.
    int exits = 0;
    for (int i = 0; i + 1 < clients_reached(kind); ++i) exits += has_exit(kind->clients[i]);
    CHECK_EQUAL(seen_at_end.entries, ends_in_step + 1);
    CHECK_EQUAL(seen_at_end.bodies, 0);
    CHECK_EQUAL(seen_at_end.exits, exits);
    CHECK_EQUAL(seen_at_end.unwound, exits);
    return;
  }
  CHECK_EQUAL(seen_at_end.entries, steps->entries);
  CHECK_EQUAL(seen_at_end.bodies, ends_in_step < steps->entries + steps->direct ? 0 : steps->bodies);
  CHECK_EQUAL(seen_at_end.exits, steps->exits);
  const int returned = ends_in_step < first_exit ? 0 : ends_in_step - first_exit + 1;
  CHECK_EQUAL(seen_at_end.unwound, steps->exits - returned);
}

static void check_step(const struct DispatchKind* kind, const struct Steps* steps) {
  sem_init(&at_cancellation_point, 0, 0);
  sem_init(&never, 0, 0);
  sem_init(&cleaning_up, 0, 0);
  sem_init(&go_on, 0, 0);
  memset(&seen, 0, sizeof seen);
  step = callers = own_cleanups = stop = 0;
  ct_ops* ops[kMostDispatchClients];
  attach_kind(kind, (uintptr_t)work, &kClients, ops);
  const pthread_t bystander = start(run_bystander);
  const pthread_t ending = start(run_ending);
  if (is_cancelled) {
    sem_wait(&at_cancellation_point);
    pthread_cancel(ending);
  }
  sem_wait(&cleaning_up);
  CHECK_EQUAL(call_work(7), 8);
  __atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
  pthread_join(bystander, NULL);
  // The thread is still there, and no handler of it runs: unregistering does not wait for it.
  const int reached = clients_reached(kind);
  for (int i = 0; kind->clients[i] != '\0'; ++i) {
    const uint64_t hits = ct_ops_hits(ops[i]);
    if (strchr("dr", kind->clients[i]) == NULL) {
      CHECK_EQUAL(hits, calls_of_bystander + 2 + (i < reached));
    }
    CHECK_EQUAL(ct_ops_missed(ops[i]), 0);
    CHECK_OK(ct_free_ops(ops[i]));
  }
  sem_post(&go_on);
  void* result = NULL;
  pthread_join(ending, &result);
  CHECK(result == (is_cancelled ? PTHREAD_CANCELED : (void*)&never));
  CHECK_EQUAL(callers, 1);
  CHECK_EQUAL(own_cleanups, 1);
  check_seen(kind, steps);
  CHECK_EQUAL(call_work(7), 8);
}

static void check_kind(const struct DispatchKind* kind) {
  const struct Steps steps = steps_of(kind);
  const int count = steps.entries + steps.direct + steps.bodies + steps.exits;
  for (ends_in_step = 0; ends_in_step < count; ++ends_in_step) check_step(kind, &steps);
}

TEST(pthread_exit_in_every_step_of_a_call) {
  is_cancelled = 0;
  for_each_dispatch_kind(check_kind);
}
TEST(cancellation_in_every_step_of_a_call) {
  is_cancelled = 1;
  for_each_dispatch_kind(check_kind);
}
