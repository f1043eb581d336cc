// Make every core see changed code: after it returns, no thread of the process still executes instructions
// that it fetched before.
#pragma once

#include "base/error.h"

namespace calltap::patch {

/// Asks the kernel for what synchronise_cores() needs. That does so itself where nobody has; at start it
/// tells early whether the kernel can. Errors: kCoreSyncUnavailable (then only a process with one thread may
/// be patched). Signal-safe.
base::Result<void> register_core_sync();

/// One round for all cores, however many sites were written. Errors: kCoreSyncUnavailable. Signal-safe.
base::Result<void> synchronise_cores();

}  // namespace calltap::patch
