// Op sets: made, shared by sites with the same clients, and freed once no handler can be looking at them.
//
// Everything here is called under the engine's lock.
#pragma once

#include <cstdint>

#include "ops/client.h"

namespace calltap::ops {

/// The set without clients. Never freed.
const trampoline::OpSet& empty_set();

/// The set with the client added, or removed. A reference for one site comes with it; null when memory is
/// exhausted.
const trampoline::OpSet* with_client(const trampoline::OpSet& set, ct_ops& client);
const trampoline::OpSet* without_client(const trampoline::OpSet& set, const ct_ops& client);
[[nodiscard]] bool contains(const trampoline::OpSet& set, const ct_ops& client);

/// One site has it no longer. At the last one it is retired.
void release_set(const trampoline::OpSet& set);

/// Frees what was retired before the epoch, which every thread has reached.
void free_retired_before(std::uint64_t epoch);
/// Number of sets that wait for that.
std::uint64_t retired_sets();
/// Number of sets in use and retired. For tests and status.
std::uint64_t live_sets();

}  // namespace calltap::ops
