// Functions that a client does without for a time, whatever its filter says: they are given by their numbers,
// and leaving them out and taking them back asks neither files nor patterns.
//
// What the filter says of them is remembered, and kept true when it changes, so that a function that comes
// back does so only if the filter still selects it.
#pragma once

#include <cstdint>
#include <span>

#include "base/error.h"
#include "ops/client.h"
#include "ops/failure.h"
#include "ops/modules.h"

namespace calltap::ops {

[[nodiscard]] inline std::uint32_t function_of(const trampoline::SiteRecord& record) {
  return static_cast<std::uint32_t>(record.event_bits >> 32);
}

/// What is noted of the function if the client leaves it out, else null.
[[nodiscard]] LeftOut* find_left_out(ct_ops& client, std::uint32_t function);

/// From now on the registered client leaves out these functions (ascending) and no others: all or nothing, in
/// time for the functions that change and a glance at each record of their modules. Numbers that nothing has
/// do no harm. A disabled client does so when it is enabled. Under the engine's lock. Errors: kOutOfMemory,
/// those of patch::Patcher.
base::Result<void> leave_out(ct_ops& client, std::span<const std::uint32_t> functions, Failure& failure);

/// The module is about to go: other functions may get its numbers.
void forget_left_out(ct_ops& client, const Module& module);

}  // namespace calltap::ops
