// Clients are exchanged at every single instruction of a hooked call: the calling thread is single-stepped,
// stops before the n-th instruction, for every n, and goes on when another thread has stored the change. The
// call must have seen the old clients or the new ones, and of all n there is one from which on it is the old
// ones: the change has one instant.
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "calltap/calltap.h"

#define UNHOOKED __attribute__((patchable_function_entry(0, 0), noinline))

// ---------------------------------------------------------------------------------------------- the function

__attribute__((noinline)) long stepped(long x) {
  __asm__ volatile("" : "+r"(x));
  return 3 * x + 1;
}

__attribute__((noinline)) long elsewhere(long x) {
  __asm__ volatile("" : "+r"(x));
  return x;
}

// ---------------------------------------------------------------------------------------------- the clients

enum {
  CALLBACK,
  CALLBACK_2,
  VECTOR_CALLBACK,
  PROBE,
  PROBE_2,
  VECTOR_PROBE,
  DIRECT,
  REDIRECT,
  IPMODIFY,
  CLIENTS
};

struct client {
  ct_ops* ops;
  atomic_int entries;
  atomic_int exits;
  atomic_bool gone;  // its unregister has returned
};
static struct client clients[CLIENTS + 1];
static atomic_int late;     // handlers that ran after their unregister
static atomic_int strange;  // handlers that saw something else than their own call

static void* original;  // of stepped()

static struct client* own(ct_ops* ops) { return ct_ops_user(ops); }

static UNHOOKED void check_entry(uint64_t ip, ct_ops* ops, ct_regs* regs) {
  struct client* client = own(ops);
  ++client->entries;
  if (client->gone) ++late;
  if (ip != (uint64_t)stepped || ct_regs_argument(regs, 0) != 5) ++strange;
}

static UNHOOKED void on_call(uint64_t ip, uint64_t parent, ct_ops* ops, ct_regs* regs) {
  (void)parent;
  check_entry(ip, ops, regs);
}

static UNHOOKED void on_call_set_ip(uint64_t ip, uint64_t parent, ct_ops* ops, ct_regs* regs) {
  (void)parent;
  check_entry(ip, ops, regs);
  ct_regs_set_ip(regs, (uint64_t)original);
}

static UNHOOKED int on_entry(uint64_t ip, uint64_t parent, ct_ops* ops, ct_regs* regs, void* data) {
  (void)parent;
  check_entry(ip, ops, regs);
  if (*(uint64_t*)data != 0) ++strange;
  *(uint64_t*)data = (uint64_t)ops;
  return 0;
}

static UNHOOKED void on_exit_of(uint64_t ip, uint64_t parent, ct_ops* ops, ct_regs* regs, void* data) {
  (void)parent;
  struct client* client = own(ops);
  ++client->exits;
  if (client->gone) ++late;
  if (ip != (uint64_t)stepped || *(uint64_t*)data != (uint64_t)ops || ct_regs_return_value(regs) != 16)
    ++strange;
}

// Keep all registers, as a direct call's trampoline must.
extern atomic_int direct_calls[2] __attribute__((visibility("hidden")));
atomic_int direct_calls[2];
extern const char direct[], direct_2[];
__asm__(
    ".text\n.globl direct, direct_2\n.hidden direct, direct_2\n"
    "direct: endbr64\n lock incl direct_calls(%rip)\n ret\n"
    "direct_2: endbr64\n lock incl direct_calls+4(%rip)\n ret\n");

static UNHOOKED long replacement(long x) {
  ++clients[REDIRECT].entries;
  return 3 * x + 1;
}

static ct_ops* make_client(int kind, struct client* user) {
  switch (kind) {
    case CALLBACK:
    case CALLBACK_2:
      return ct_new_callback(on_call, user, CT_GENERAL_REGS_ONLY);
    case VECTOR_CALLBACK:
      return ct_new_callback(on_call, user, 0);
    case PROBE:
    case PROBE_2:
      return ct_new_probe(on_entry, on_exit_of, 8, user, CT_GENERAL_REGS_ONLY);
    case VECTOR_PROBE:
      return ct_new_probe(on_entry, on_exit_of, 8, user, 0);
    case IPMODIFY:
      return ct_new_callback(on_call_set_ip, user, CT_IPMODIFY | CT_GENERAL_REGS_ONLY);
    default:
      return ct_new_ops(user, CT_NOT_PERMANENT);
  }
}

static void must(int result, const char* what) {
  if (result == 0) return;
  printf("FAILED: %s: %d, %s\n", what, result, ct_error_text());
  exit(1);
}

static void attach(int kind) {
  struct client* client = &clients[kind];
  client->gone = false;
  if (kind == DIRECT) {
    must(ct_register_direct(client->ops, direct), "register_direct");
  } else if (kind == REDIRECT) {
    must(ct_register_redirect(client->ops, (void*)replacement), "register_redirect");
  } else {
    must(ct_register_ops(client->ops), "register_ops");
  }
}

static void detach(int kind) {
  struct client* client = &clients[kind];
  if (kind == DIRECT) {
    must(ct_unregister_direct(client->ops), "unregister_direct");
  } else if (kind == REDIRECT) {
    must(ct_unregister_redirect(client->ops), "unregister_redirect");
  } else {
    must(ct_unregister_ops(client->ops), "unregister_ops");
  }
  client->gone = true;
}

// ---------------------------------------------------------------------------------------------- the changes

enum change { ATTACH, DETACH, ENABLE, DISABLE, SWITCH_ON, SWITCH_OFF, FILTER_IN, FILTER_OUT, MODIFY, REUSE };
static const char* const change_names[] = {"attach",     "detach",    "enable",     "disable", "switch on",
                                           "switch off", "filter in", "filter out", "modify",  "reuse"};

static enum change change;
static int changed;  // the client
static sem_t wanted;
static sem_t finished;
static bool done;  // what the stepping thread knows of it

static void filter(int kind, const char* function) {
  must(ct_set_filter(clients[kind].ops, function, 1), "set_filter");
}

/// The client's place is given to another one of its kind at once.
static void reuse(int kind) {
  ct_ops* before = clients[kind].ops;
  detach(kind);
  must(ct_free_ops(before), "free_ops");
  struct client* heir = &clients[CLIENTS];
  heir->ops = make_client(kind, heir);
  if (heir->ops != before) ++strange;  // the test wants the same place
  must(ct_set_filter(heir->ops, "stepped", 1), "set_filter");
  must(ct_register_ops(heir->ops), "register_ops");
}

static void undo_reuse(int kind) {
  must(ct_free_ops(clients[CLIENTS].ops), "free_ops");
  clients[kind].ops = make_client(kind, &clients[kind]);
  filter(kind, "stepped");
}

static void carry_out(enum change what, int kind) {
  switch (what) {
    case ATTACH:
      return attach(kind);
    case DETACH:
      return detach(kind);
    case ENABLE:
      return must(ct_enable_ops(clients[kind].ops), "enable");
    case DISABLE:
      return must(ct_disable_ops(clients[kind].ops), "disable");
    case SWITCH_ON:
      return must(ct_set_enabled(1), "set_enabled");
    case SWITCH_OFF:
      return must(ct_set_enabled(0), "set_enabled");
    case FILTER_IN:
      return filter(kind, "stepped");
    case FILTER_OUT:
      return filter(kind, "elsewhere");
    case MODIFY:
      return must(ct_modify_direct(clients[kind].ops, direct_2), "modify");
    case REUSE:
      return reuse(kind);
  }
}

static void* changer(void* unused) {
  for (;;) {
    while (sem_wait(&wanted) != 0) {
    }
    carry_out(change, changed);
    sem_post(&finished);
  }
  return unused;
}

/// Everything is stored. What may be left to do is to wait for the handlers of the stepped thread.
static bool is_stored(void) {
  struct timespec until;
  clock_gettime(CLOCK_REALTIME, &until);
  until.tv_nsec += 100000;
  if (until.tv_nsec >= 1000000000) until = (struct timespec){until.tv_sec + 1, until.tv_nsec - 1000000000};
  done = sem_timedwait(&finished, &until) == 0;
  if (done) return true;
  const bool waits = change == DETACH || change == DISABLE || change == SWITCH_OFF || change == REUSE;
  if (!waits || ct_ops_functions(clients[changed].ops) != 0) return false;
  ct_original(
      (void*)stepped);  // takes the lock that the change is made under; the stepped code never holds it
  return true;
}

// ---------------------------------------------------------------------------------------------- stepping

static volatile long steps;
static volatile long stop_at;
static long stride = 1;

static UNHOOKED void on_trap(int signal) {
  (void)signal;
  if (++steps != stop_at) return;
  const int saved = errno;
  sem_post(&wanted);
  while (!is_stored()) {
  }
  errno = saved;
}

static UNHOOKED long call_stepped(long x) {
  long (*volatile function)(long) = stepped;
  steps = 0;
  __asm__ volatile("lea -128(%%rsp), %%rsp; pushfq; orq $0x100, (%%rsp); popfq; lea 128(%%rsp), %%rsp" ::
                       : "cc", "memory");
  const long result = function(x);
  __asm__ volatile("lea -128(%%rsp), %%rsp; pushfq; andq $~0x100, (%%rsp); popfq; lea 128(%%rsp), %%rsp" ::
                       : "cc", "memory");
  return result;
}

// ---------------------------------------------------------------------------------------------- one case

static int failures;

struct seen {
  int entries;
  int exits;
};

static bool has_exit(int kind) { return kind == PROBE || kind == PROBE_2 || kind == VECTOR_PROBE; }

static UNHOOKED struct seen seen_by(int kind) {
  if (kind == DIRECT) return (struct seen){direct_calls[0], 0};
  return (struct seen){clients[kind].entries, clients[kind].exits};
}

static void forget_calls(void) {
  for (int i = 0; i <= CLIENTS; ++i) clients[i].entries = clients[i].exits = 0;
  direct_calls[0] = direct_calls[1] = 0;
}

#define CHECK(condition)                                                                         \
  do {                                                                                           \
    if (!(condition)) {                                                                          \
      ++failures;                                                                                \
      printf("FAILED: %s, instruction %ld: %s (entries %d, exits %d)\n", name, stop, #condition, \
             now.entries, now.exits);                                                            \
    }                                                                                            \
  } while (0)

static bool adds(enum change what) {
  return what == ATTACH || what == ENABLE || what == SWITCH_ON || what == FILTER_IN;
}

/// The opposite of each change, for the way back.
static const enum change opposites[] = {DETACH,     ATTACH,    DISABLE,    ENABLE,
                                        SWITCH_OFF, SWITCH_ON, FILTER_OUT, FILTER_IN};

/// Brings the changed client to where the change begins; it is attached where the change takes it away, else
/// not.
static void prepare(enum change what, int kind) {
  if (what == FILTER_IN) filter(kind, "elsewhere");
  if (what != ATTACH) attach(kind);
  if (what == ENABLE) must(ct_disable_ops(clients[kind].ops), "disable");
}

/// Of `others`, a bit each, all are attached all the time.
static UNHOOKED void run_case(enum change what, int kind, unsigned others) {
  char name[80];
  snprintf(name, sizeof name, "%s client %d, others %#x", change_names[what], kind, others);
  for (int i = 0; i < CLIENTS; ++i) {
    if (others >> i & 1) attach(i);
  }
  prepare(what, kind);
  if (what == SWITCH_ON) must(ct_set_enabled(0), "set_enabled");
  change = what;
  changed = kind;
  bool was_new = true;
  bool had_exit = true;
  long switches_at = 0;
  for (long stop = 1;; stop += stop < 64 ? 1 : stride) {
    forget_calls();
    done = false;
    stop_at = stop;
    const long result = call_stepped(5);
    const bool stopped = steps >= stop;
    while (stopped && !done) done = sem_wait(&finished) == 0;
    const struct seen now = seen_by(kind);
    CHECK(result == 16);
    CHECK(now.entries == 0 || now.entries == 1);
    CHECK(now.exits <= now.entries);
    if (adds(what) && has_exit(kind)) CHECK(now.exits == now.entries);
    for (int i = 0; i < CLIENTS && what != SWITCH_ON && what != SWITCH_OFF; ++i) {
      if ((others >> i & 1) == 0) continue;
      const struct seen other = seen_by(i);
      CHECK(other.entries == 1 && other.exits == (has_exit(i) ? 1 : 0));
    }
    bool is_new = (now.entries == 1) == adds(what);
    if (what == MODIFY) {
      CHECK(direct_calls[0] + direct_calls[1] == 1);
      is_new = direct_calls[1] == 1;
    }
    if (what == REUSE) {
      const struct seen heir = seen_by(CLIENTS);
      CHECK(now.entries + heir.entries <= 1 && heir.exits == (has_exit(kind) ? heir.entries : 0));
    }
    if (stop == 1) CHECK(is_new);
    CHECK(was_new || !is_new);
    if (was_new && !is_new) switches_at = stop;
    was_new = is_new;
    if (!adds(what) && now.entries == 1 && has_exit(kind)) {
      CHECK(had_exit || now.exits == 1 || switches_at == 0 || stop > switches_at);
      had_exit = now.exits == 1;
    }
    if (!stopped) {
      CHECK(!is_new);
      break;
    }
    if (what == MODIFY) {
      must(ct_modify_direct(clients[kind].ops, direct), "modify");
    } else if (what == REUSE) {
      undo_reuse(kind);
      attach(kind);
    } else {
      carry_out(opposites[what], kind);
    }
  }
  const long stop = steps;
  const struct seen now = seen_by(kind);
  CHECK(late == 0);
  CHECK(strange == 0);
  late = strange = 0;
  if (what == SWITCH_ON) must(ct_set_enabled(1), "set_enabled");
  if (what != ATTACH) detach(kind);
  if (what == FILTER_IN) filter(kind, "stepped");
  for (int i = 0; i < CLIENTS; ++i) {
    if (others >> i & 1) detach(i);
  }
  printf("%-45s %4ld instructions, the change counts up to the %ldth\n", name, steps, switches_at - 1);
}

int main(int argc, char** argv) {
  if (argc > 1) stride = atol(argv[1]);
  pthread_t thread;
  sem_init(&wanted, 0, 0);
  sem_init(&finished, 0, 0);
  pthread_create(&thread, NULL, changer, NULL);
  for (int i = 0; i < CLIENTS; ++i) {
    clients[i].ops = make_client(i, &clients[i]);
    filter(i, "stepped");
  }
  elsewhere(stepped(1));
  attach(CALLBACK);  // a function that never had a client has no original
  original = ct_original((void*)stepped);
  detach(CALLBACK);
  struct sigaction action = {.sa_handler = on_trap};
  sigaction(SIGTRAP, &action, NULL);

  static const unsigned others[] = {0,
                                    1 << CALLBACK_2,
                                    1 << PROBE_2,
                                    1 << VECTOR_PROBE,
                                    1 << CALLBACK_2 | 1 << DIRECT | 1 << REDIRECT,
                                    1 << PROBE_2 | 1 << DIRECT};
  static const int kinds[] = {CALLBACK, PROBE, VECTOR_PROBE, DIRECT, REDIRECT, IPMODIFY};
  for (size_t k = 0; k < sizeof kinds / sizeof *kinds; ++k) {
    for (size_t o = 0; o < sizeof others / sizeof *others; ++o) {
      if (others[o] >> kinds[k] & 1) continue;
      // A function can have one of the two, and who goes on elsewhere passes the direct call.
      if (kinds[k] == IPMODIFY && (others[o] & (1 << REDIRECT | 1 << DIRECT)) != 0) continue;
      run_case(ATTACH, kinds[k], others[o]);
      run_case(DETACH, kinds[k], others[o]);
    }
  }
  static const int changing[] = {PROBE, VECTOR_CALLBACK};
  for (size_t k = 0; k < 2; ++k) {
    run_case(ENABLE, changing[k], 0);
    run_case(DISABLE, changing[k], 1 << CALLBACK_2);
    run_case(SWITCH_ON, changing[k], 0);
    run_case(SWITCH_OFF, changing[k], 1 << PROBE_2);
    run_case(FILTER_IN, changing[k], 1 << PROBE_2);
    run_case(FILTER_OUT, changing[k], 0);
    run_case(REUSE, changing[k], 0);
    run_case(REUSE, changing[k], 1 << PROBE_2);
  }
  run_case(MODIFY, DIRECT, 0);
  run_case(MODIFY, DIRECT, 1 << PROBE_2);
  printf(failures == 0 ? "ok\n" : "%d FAILED\n", failures);
  return failures != 0;
}
