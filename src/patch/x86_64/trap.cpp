#include "patch/x86_64/trap.h"

#include <signal.h>
#include <ucontext.h>

#include <atomic>

#include "base/array.h"
#include "isa/system.h"
#include "isa/x86_64/encode.h"
#include "patch/core_sync.h"
#include "patch/memory_map.h"

namespace calltap::patch {
namespace {

using base::ErrorCode;
using base::Result;

// The batch in progress, for the handler. `readers` counts handlers that look at it.
std::atomic<const TrapPoke*> batch{nullptr};
std::atomic<std::size_t> batch_size{0};
std::atomic<std::uint32_t> readers{0};
struct sigaction previous = {};

const TrapPoke* find_poke(std::uint64_t address) {
  const TrapPoke* first = batch.load(std::memory_order_seq_cst);
  std::size_t low = 0;
  for (std::size_t high = first == nullptr ? 0 : batch_size.load(std::memory_order_relaxed); low < high;) {
    const std::size_t middle = (low + high) / 2;
    if (first[middle].address == address) return &first[middle];
    if (first[middle].address < address) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return nullptr;
}

void chain(int signal, siginfo_t* info, void* context) {
  if ((previous.sa_flags & SA_SIGINFO) != 0) {
    previous.sa_sigaction(signal, info, context);
  } else if (previous.sa_handler == SIG_DFL) {
    // What would have happened: die of it, at the instruction behind the trap.
    struct sigaction plain = {};
    plain.sa_handler = SIG_DFL;
    ::sigaction(signal, &plain, nullptr);
    isa::native::system_call(SYS_tgkill, isa::current_pid(), isa::current_tid(), signal);
  } else if (previous.sa_handler != SIG_IGN) {
    previous.sa_handler(signal);
  }
}

/// The thread met an INT3 of a batch that was over before it got here: the instruction is there now, to be
/// executed.
bool is_late(const siginfo_t& info, std::uint64_t address) {
  constexpr int kFromInt3 = 0x80;  // SI_KERNEL; a signal that somebody sent and a single step have others
  constexpr std::uint8_t kInt3InTwoBytes =
      0x03;  // CD 03, the program's own; no form of a site starts with it
  const std::uint8_t now = *reinterpret_cast<const volatile std::uint8_t*>(address);
  return info.si_code == kFromInt3 && now != isa::x86_64::kInt3 && now != kInt3InTwoBytes;
}

void handle_trap(int signal, siginfo_t* info, void* context) {
  auto& instruction = static_cast<ucontext_t*>(context)->uc_mcontext.gregs[REG_RIP];
  readers.fetch_add(1, std::memory_order_seq_cst);
  const TrapPoke* poke = find_poke(static_cast<std::uint64_t>(instruction) - 1);
  const std::uint64_t resume = poke == nullptr ? 0 : poke->resume;
  readers.fetch_sub(1, std::memory_order_release);
  if (resume != 0) {
    instruction = static_cast<greg_t>(resume);
  } else if (is_late(*info, static_cast<std::uint64_t>(instruction) - 1)) {
    instruction -= 1;
  } else {
    chain(signal, info, context);
  }
}

bool is_ours(const struct sigaction& action) {
  return (action.sa_flags & SA_SIGINFO) != 0 && action.sa_sigaction == handle_trap;
}

/// The batch is visible to the handler for the life of the object. The handler stays: a thread may have met
/// one of the last INT3s and get its signal at any later time.
class TrapHandler {
 public:
  explicit TrapHandler(std::span<const TrapPoke> pokes) {
    batch_size.store(pokes.size(), std::memory_order_relaxed);
    batch.store(pokes.data(), std::memory_order_release);
    struct sigaction action = {};
    ::sigaction(SIGTRAP, nullptr, &action);
    if (is_ours(action)) return;
    previous = action;
    action = {};
    action.sa_sigaction = handle_trap;
    action.sa_flags = SA_SIGINFO | SA_RESTART | SA_ONSTACK | SA_NODEFER;
    ::sigaction(SIGTRAP, &action, nullptr);
  }
  ~TrapHandler() {
    // Whoever starts to look from here on finds no batch; who has found it is waited for.
    batch.store(nullptr, std::memory_order_seq_cst);
    while (readers.load(std::memory_order_seq_cst) != 0) isa::native::system_call(SYS_sched_yield);
  }
  TrapHandler(const TrapHandler&) = delete;
  TrapHandler& operator=(const TrapHandler&) = delete;
};

enum class Step { kTrap, kTail, kFirst, kAll, kUndo };

Result<void> write_step(TextWriter& writer, std::span<const TrapPoke> pokes, Step step) {
  base::Array<ByteChange> changes;
  for (const TrapPoke& poke : pokes) {
    const auto add = [&](unsigned i, std::uint8_t from, std::uint8_t to) {
      return changes.push_back({poke.address + i, from, to});
    };
    bool added = true;
    if (step == Step::kTrap) added = add(0, poke.before[0], isa::x86_64::kInt3);
    if (step == Step::kFirst) added = add(0, isa::x86_64::kInt3, poke.after[0]);
    if (step == Step::kAll) added = add(0, poke.before[0], poke.after[0]);
    if (step == Step::kUndo) added = add(0, isa::x86_64::kInt3, poke.before[0]);
    if (step == Step::kTail || step == Step::kAll) {
      for (unsigned i = 1; i < poke.length; ++i) added = added && add(i, poke.before[i], poke.after[i]);
    }
    if (!added) return ErrorCode::kOutOfMemory;
  }
  return writer.apply(changes);
}

/// Does some thread block SIGTRAP, and not only for the moment that thread creation or a handler takes?
bool trap_stays_blocked() {
  constexpr int kLooks = 20;
  constexpr std::uint64_t kPauseNs = 1'000'000;
  for (int look = 0; look < kLooks; ++look) {
    if (!any_other_thread_blocks(SIGTRAP)) return false;
    const std::uint32_t never_changes = 0;
    isa::futex_wait(&never_changes, never_changes, kPauseNs, false);
  }
  return true;
}

}  // namespace

Result<void> poke(TextWriter& writer, std::span<const TrapPoke> sorted) {
  if (sorted.empty()) return {};
  if (thread_count() == 1) return write_step(writer, sorted, Step::kAll);
  if (trap_stays_blocked()) return ErrorCode::kThreadBlocksTrap;
  const TrapHandler handler(sorted);
  for (const Step step : {Step::kTrap, Step::kTail, Step::kFirst}) {
    if (auto written = write_step(writer, sorted, step); !written) {
      // A step writes nothing unless all bytes are as expected: what is to be taken back are the traps.
      if (step == Step::kTail) {
        static_cast<void>(write_step(writer, sorted, Step::kUndo));
        static_cast<void>(synchronise_cores());
      }
      return written.error();
    }
    if (auto synchronised = synchronise_cores(); !synchronised) return synchronised.error();
  }
  return {};
}

}  // namespace calltap::patch
