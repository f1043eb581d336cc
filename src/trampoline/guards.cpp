#include "trampoline/guards.h"

#include <atomic>

#include "isa/system.h"
#include "trampoline/frames.h"
#include "trampoline/own_stack.h"
#include "trampoline/regs.h"
#include "trampoline/signal_frame.h"

extern "C" {
/// Number of the newest epoch; 0 is not one.
std::atomic<std::uint64_t> ct_epoch{1};
}

namespace calltap::trampoline {
namespace {

std::atomic<Guard*> guards{nullptr};
std::atomic<std::uint32_t> guard_lock{0};

/// For a few instructions, with signals blocked.
class GuardLock {
 public:
  GuardLock() {
    while (guard_lock.exchange(1, std::memory_order_acquire) != 0) isa::native::system_call(SYS_sched_yield);
  }
  ~GuardLock() { guard_lock.store(0, std::memory_order_release); }
  GuardLock(const GuardLock&) = delete;
  GuardLock& operator=(const GuardLock&) = delete;
};

Guard* make_guard() {
  constexpr std::size_t kCountersBytes = kMaxClients * sizeof(Counters);
  void* memory = isa::map_memory(CT_GUARD_COUNTERS + kCountersBytes, MAP_NORESERVE);
  if (memory == nullptr) return nullptr;
  auto* guard = static_cast<Guard*>(memory);
  guard->next = guards.load(std::memory_order_relaxed);
  guards.store(guard, std::memory_order_release);
  return guard;
}

}  // namespace

Guard* take_guard(ThreadState& thread) {
  const isa::SignalsBlocked blocked;
  if (thread.guard->word != Guard::kNoThread) return thread.guard;  // a signal handler was faster
  start_thread(thread);
  const auto tid = static_cast<std::uint32_t>(isa::current_tid());
  const GuardLock lock;
  Guard* guard = guards.load(std::memory_order_relaxed);
  // Acquired: who finds that a thread has ended gives its guard free without the lock.
  while (guard != nullptr && __atomic_load_n(&guard->tid, __ATOMIC_ACQUIRE) != 0) guard = guard->next;
  if (guard == nullptr) guard = make_guard();
  if (guard == nullptr) return nullptr;
  guard->tid = tid;
  thread.guard = guard;
  return guard;
}

void enter_guard(Guard& guard, ct_regs& regs) {
  regs.flags |= CT_REGS_NESTED;
  regs.guard = &guard;
  regs.saved_word = guard.word;
  const std::uint64_t epoch = guard.word == 0
                                  ? ct_epoch.load(std::memory_order_acquire) << CT_GUARD_EPOCH_SHIFT
                                  : guard.word & ~Guard::kSpMask;
  guard.set(epoch | reinterpret_cast<std::uint64_t>(&regs));
}

std::uint64_t current_epoch() { return ct_epoch.load(std::memory_order_seq_cst); }

std::uint64_t epoch_of(const Guard& guard) {
  const std::uint64_t word = __atomic_load_n(&guard.word, __ATOMIC_ACQUIRE);
  if (word == 0 || word == Guard::kNoThread) return 0;
  // The guard's epoch is not later than what this reads, and start_epoch() sees to it that it is not long
  // ago.
  const std::uint64_t now = current_epoch();
  return now - ((now - (word >> CT_GUARD_EPOCH_SHIFT)) & 0xffff);
}

std::uint64_t start_epoch() {
  constexpr std::uint64_t kOldest = 0x8000;
  for (const Guard* guard = first_guard(); guard != nullptr; guard = guard->next) {
    const std::uint64_t entered = epoch_of(*guard);
    if (entered != 0 && current_epoch() - entered >= kOldest) return 0;
  }
  return ct_epoch.fetch_add(1, std::memory_order_seq_cst) + 1;
}

Guard* first_guard() { return guards.load(std::memory_order_acquire); }

void leave_abandoned(ThreadState& thread, Guard& guard, std::uint64_t sp) {
  if (sp < guard.sp() || !on_own_stack(thread, sp, guard.sp())) return;
  // A signal stack may be a part of the thread's stack.
  if (!is_in_signal_handler(sp, guard.sp())) guard.set(0);
}

bool in_handler(std::uint64_t sp) {
  Guard& guard = *ct_thread.guard;
  if (!guard.is_entered()) return false;
  leave_abandoned(ct_thread, guard, sp);
  return guard.word != 0;
}

void fix_guards_after_fork() {
  // Each step under the lock leaves the list whole, so it does not matter where its holder was.
  guard_lock.store(0, std::memory_order_relaxed);
  Guard& guard = *ct_thread.guard;
  if (guard.word != Guard::kNoThread) guard.tid = static_cast<std::uint32_t>(isa::current_tid());
}

void release_guard(ThreadState& thread) {
  Guard* guard = thread.guard;
  if (guard->word == Guard::kNoThread) return;
  static constinit Guard ended = {.word = Guard::kNoThread};
  thread.guard = &ended;
  guard->set(0);
  const GuardLock lock;
  guard->tid = 0;
}

Counters sum_counters(const Client& client) {
  Counters sum = {};
  for (const Guard* g = first_guard(); g != nullptr; g = g->next) {
    sum.hits += __atomic_load_n(&g->counters()[client.index].hits, __ATOMIC_RELAXED);
    sum.missed += __atomic_load_n(&g->counters()[client.index].missed, __ATOMIC_RELAXED);
  }
  return sum;
}

}  // namespace calltap::trampoline
