#include "patch/core_sync.h"

#include <linux/membarrier.h>

#include "isa/system.h"

namespace calltap::patch {

base::Result<void> register_core_sync() {
  const long result =
      isa::native::system_call(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_SYNC_CORE);
  if (isa::is_error(result))
    return base::Error(base::ErrorCode::kCoreSyncUnavailable, static_cast<int>(-result));
  return {};
}

base::Result<void> synchronise_cores() {
  long result = isa::native::system_call(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED_SYNC_CORE);
  constexpr long kNotRegistered = -1;  // EPERM
  if (result == kNotRegistered && register_core_sync()) {
    result = isa::native::system_call(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED_SYNC_CORE);
  }
  if (isa::is_error(result))
    return base::Error(base::ErrorCode::kCoreSyncUnavailable, static_cast<int>(-result));
  return {};
}

}  // namespace calltap::patch
