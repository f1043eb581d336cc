// Proof that no thread runs a handler that was entered before a change.
#pragma once

#include <cstdint>

#include "base/error.h"

namespace calltap::ops {

/// Call after the change was stored: returns when no thread runs a handler, or reads a set, that it entered
/// before this call, and gives the epoch that says so. Waits as long as such a handler runs; not from a
/// handler, and not with a lock that one may want. Errors: kCoreSyncUnavailable.
base::Result<std::uint64_t> wait_for_handlers();

/// The same without waiting: no handler runs, and no set is read, that was entered before the epoch which
/// this returns. It is an old one while a handler runs for long; 0 without core synchronisation.
std::uint64_t epoch_reached_by_all();

/// Whoever loads what is stored after this loads also what was stored before it, without a dependency between
/// the two loads. Errors: kCoreSyncUnavailable.
base::Result<void> order_stores();

}  // namespace calltap::ops
