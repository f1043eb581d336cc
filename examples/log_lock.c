// Logs who takes which lock, through a direct call: the function calls a trampoline of ours
// (log_lock_trampoline.S, of each architecture), nothing between. The log is switched on and off while
// threads contend for the locks.
#include <calltap/calltap.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

struct lock {
  const char* name;
  pthread_mutex_t mutex;
  unsigned long taken;  // under the lock itself
};

static struct lock accounts = {"accounts", PTHREAD_MUTEX_INITIALIZER, 0};
static struct lock journal = {"journal", PTHREAD_MUTEX_INITIALIZER, 0};

__attribute__((noinline)) static void lock_acquire(struct lock* lock) {
  pthread_mutex_lock(&lock->mutex);
  ++lock->taken;
}

static void lock_release(struct lock* lock) { pthread_mutex_unlock(&lock->mutex); }

// The log: a ring of the newest entries. Written by many threads at once, without a lock.
enum { kEntries = 4 };
static _Atomic(struct lock*) entries[kEntries];
static atomic_ulong logged;
static atomic_ulong strangers;

// Called by the trampoline with the first argument of lock_acquire() and the address that it returns to.
void log_acquire(struct lock* lock, const void* caller);
void log_acquire(struct lock* lock, const void* caller) {
  if ((lock != &accounts && lock != &journal) || caller == NULL) atomic_fetch_add(&strangers, 1);
  atomic_store(&entries[atomic_fetch_add(&logged, 1) % kEntries], lock);
}

extern const char log_acquire_trampoline[];  // code, of which we need the address only

static void require(int result) {
  if (result == 0) return;
  fprintf(stderr, "%s\n", ct_error_text());
  exit(1);
}

enum { kThreads = 3, kRounds = 100000, kSwitches = 200 };

static void* contend(void* unused) {
  for (int i = 0; i < kRounds; ++i) {
    struct lock* lock = i % 2 == 0 ? &accounts : &journal;
    lock_acquire(lock);
    lock_release(lock);
  }
  return unused;
}

int main(void) {
  ct_ops* ops = ct_new_ops(NULL, 0);
  if (ops == NULL) require(-1);
  require(ct_set_filter(ops, "lock_acquire", 0));

  pthread_t threads[kThreads];
  for (int i = 0; i < kThreads; ++i) pthread_create(&threads[i], NULL, contend, NULL);
  const struct timespec pause = {0, 100000};
  for (int i = 0; i < kSwitches; ++i) {
    require(ct_register_direct(ops, log_acquire_trampoline));
    nanosleep(&pause, NULL);
    require(ct_unregister_direct(ops));
  }
  for (int i = 0; i < kThreads; ++i) pthread_join(threads[i], NULL);
  printf("%d threads took two locks %lu times\n", kThreads, accounts.taken + journal.taken);
  printf("the log was switched on and off %d times meanwhile, and saw %lu other locks\n", kSwitches,
         atomic_load(&strangers));

  atomic_store(&logged, 0);
  require(ct_register_direct(ops, log_acquire_trampoline));
  struct lock* const last[] = {&accounts, &journal, &accounts};
  for (int i = 0; i < 3; ++i) {
    lock_acquire(last[i]);
    lock_release(last[i]);
  }
  require(ct_unregister_direct(ops));
  for (unsigned long i = 0; i < atomic_load(&logged); ++i)
    printf("log: %s\n", atomic_load(&entries[i])->name);
  require(ct_free_ops(ops));
  return 0;
}
