#include "ops/quiescence.h"

#include "isa/system.h"
#include "patch/core_sync.h"
#include "patch/memory_map.h"
#include "trampoline/guards.h"
#include "trampoline/handlers.h"

namespace calltap::ops {
namespace {

using trampoline::Guard;

/// The thread is not of this process any more: it has ended without a word, or we are a forked child.
bool is_gone(const Guard& guard) {
  constexpr long kNoSuchThread = -3;
  const std::uint32_t tid = __atomic_load_n(&guard.tid, __ATOMIC_RELAXED);
  return tid == 0 ||
         isa::native::system_call(SYS_tgkill, isa::current_pid(), static_cast<long>(tid), 0) == kNoSuchThread;
}

void pause() {
  constexpr std::uint64_t kPauseNs = 50'000;
  const std::uint32_t never_changes = 0;
  isa::futex_wait(&never_changes, never_changes, kPauseNs, false);
}

/// Waits until the guard is left, or entered in `epoch` or later.
void wait_for(Guard& guard, std::uint64_t epoch) {
  constexpr int kPausesBetweenLooks = 200;
  for (int pauses = 1;; ++pauses) {
    const std::uint64_t entered = trampoline::epoch_of(guard);
    if (entered == 0 || entered >= epoch) return;
    if (pauses % kPausesBetweenLooks == 0 && is_gone(guard)) {
      __atomic_store_n(&guard.word, 0, __ATOMIC_RELEASE);
      __atomic_store_n(&guard.tid, 0, __ATOMIC_RELEASE);
      return;
    }
    pause();
  }
}

}  // namespace

std::uint64_t epoch_reached_by_all() {
  std::uint64_t reached = trampoline::start_epoch();
  if (reached == 0 || !patch::synchronise_cores()) return 0;
  for (const Guard* guard = trampoline::first_guard(); guard != nullptr; guard = guard->next) {
    const std::uint64_t entered = trampoline::epoch_of(*guard);
    if (entered != 0 && entered < reached) reached = entered;
  }
  return reached;
}

base::Result<std::uint64_t> wait_for_handlers() {
  std::uint64_t epoch = trampoline::start_epoch();
  // The handler that is in the way would have to be waited for in any case.
  for (; epoch == 0; epoch = trampoline::start_epoch()) {
    const std::uint64_t now = trampoline::current_epoch();
    for (Guard* g = trampoline::first_guard(); g != nullptr; g = g->next) wait_for(*g, now - 0x1000);
  }
  // Whoever enters a guard after this sees the change; whoever has entered before shows it.
  if (auto done = patch::synchronise_cores(); !done) return done.error();
  for (Guard* guard = trampoline::first_guard(); guard != nullptr; guard = guard->next)
    wait_for(*guard, epoch);
  return epoch;
}

base::Result<void> order_stores() {
  if (isa::native::kLoadsKeepOrder || patch::thread_count() == 1) return {};
  return patch::synchronise_cores();
}

}  // namespace calltap::ops
