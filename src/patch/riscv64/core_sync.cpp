// RISC-V: FENCE.I on every core that runs a thread of the process, or will.
#include "patch/core_sync.h"

#include <linux/membarrier.h>

#include "isa/system.h"

namespace calltap::patch {
namespace {

constexpr long kFlushInstructionCache = 259;  // riscv_flush_icache

long membarrier(int command) { return isa::native::system_call(SYS_membarrier, command); }

base::Result<void> check(long result) {
  if (isa::is_error(result))
    return base::Error(base::ErrorCode::kCoreSyncUnavailable, static_cast<int>(-result));
  return {};
}

/// A core that does not run the process now executes FENCE.I before it does again. Address range and flags:
/// all of it, all threads.
long flush_instruction_caches() { return isa::native::system_call(kFlushInstructionCache, 0, 0, 0); }

}  // namespace

base::Result<void> register_core_sync() {
  if (auto flushed = check(flush_instruction_caches()); !flushed) return flushed;
  return check(membarrier(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED));
}

base::Result<void> synchronise_cores() {
  // For those who wait for what threads have stored and loaded: the flush orders only code.
  long result = membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED);
  constexpr long kNotRegistered = -1;  // EPERM
  if (result == kNotRegistered && register_core_sync()) result = membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED);
  if (auto done = check(result); !done) return done;
  return check(flush_instruction_caches());
}

}  // namespace calltap::patch
