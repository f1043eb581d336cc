// Make every core see changed code: after it returns, no thread of the process still executes instructions
// that it fetched before.
#pragma once

#include "base/error.h"

namespace calltap::patch {

/// Once per process before the first synchronise_cores(), again in a forked child. Errors:
/// kCoreSyncUnavailable (then only a process with one thread may be patched). Signal-safe.
base::Result<void> register_core_sync();

/// One round for all cores, however many sites were written. Errors: kCoreSyncUnavailable. Signal-safe.
base::Result<void> synchronise_cores();

}  // namespace calltap::patch
