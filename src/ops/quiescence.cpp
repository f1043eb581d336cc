#include "ops/quiescence.h"

#include "isa/system.h"
#include "patch/core_sync.h"
#include "trampoline/handlers.h"

namespace calltap::ops {
namespace {

using trampoline::Guard;

std::uint64_t epoch_of(const Guard& guard) { return __atomic_load_n(&guard.epoch, __ATOMIC_ACQUIRE); }

/// The thread is not of this process any more: it has ended without a word, or we are a forked child.
bool is_gone(const Guard& guard) {
  constexpr long kNoSuchThread = -3;
  const std::uint32_t tid = __atomic_load_n(&guard.tid, __ATOMIC_RELAXED);
  return tid == 0 ||
         isa::native::system_call(SYS_tgkill, isa::current_pid(), static_cast<long>(tid), 0) == kNoSuchThread;
}

}  // namespace

std::uint64_t epoch_reached_by_all() {
  std::uint64_t reached = trampoline::next_epoch();
  if (!patch::synchronise_cores()) return 0;
  for (const Guard* guard = trampoline::first_guard(); guard != nullptr; guard = guard->next) {
    const std::uint64_t entered = epoch_of(*guard);
    if (entered != 0 && entered < reached) reached = entered;
  }
  return reached;
}

base::Result<std::uint64_t> wait_for_handlers() {
  const std::uint64_t epoch = trampoline::next_epoch();
  // Whoever enters a guard after this sees the change; whoever has entered before shows it.
  if (auto done = patch::synchronise_cores(); !done) return done.error();
  constexpr std::uint64_t kPauseNs = 50'000;
  constexpr int kPausesBetweenLooks = 200;
  for (Guard* guard = trampoline::first_guard(); guard != nullptr; guard = guard->next) {
    for (int pauses = 1;; ++pauses) {
      const std::uint64_t entered = epoch_of(*guard);
      if (entered == 0 || entered >= epoch) break;
      if (pauses % kPausesBetweenLooks == 0 && is_gone(*guard)) {
        __atomic_store_n(&guard->epoch, 0, __ATOMIC_RELEASE);
        __atomic_store_n(&guard->tid, 0, __ATOMIC_RELEASE);
        break;
      }
      const std::uint32_t never_changes = 0;
      isa::futex_wait(&never_changes, never_changes, kPauseNs, false);
    }
  }
  return epoch;
}

}  // namespace calltap::ops
