// Proof that no thread runs a handler that was entered before a change.
#pragma once

#include <cstdint>

#include "base/error.h"

namespace calltap::ops {

/// Call after the change was stored: returns when no thread runs a handler, or reads a set, that it entered
/// before this call, and gives the epoch that says so. Waits as long as such a handler runs; not from a
/// handler, and not with a lock that one may want. Errors: kCoreSyncUnavailable.
base::Result<std::uint64_t> wait_for_handlers();

}  // namespace calltap::ops
