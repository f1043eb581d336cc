// Which sites of a module a filter selects, and whether what it names one by one is there.
#pragma once

#include <cstdint>
#include <string_view>

#include "base/array.h"
#include "base/error.h"
#include "ops/failure.h"
#include "ops/function_filter.h"
#include "ops/modules.h"

namespace calltap::ops {

/// Appends the indices of the selected sites, ascending. The module is open, and the matcher has entered it.
/// Takes time for what is selected only, except where patterns decide: these are asked of every function.
/// Under the engine's lock. Errors: kOutOfMemory.
base::Result<void> select_sites(Module& module, const Matcher& matcher, base::Array<std::uint32_t>& selected);

// What a client names one by one has to be there, and be a function that can be attached to: `failure` says
// what is wrong with it otherwise. These leave modules open. Under the engine's lock.

/// The function that a program means by the address: if that is of a jump of its own (site/imports.h), the
/// one that this leads to, 0 if it cannot be found; else what is at the address itself.
std::uint64_t meant_function(std::uint64_t address);
/// The address of the function that is meant. Errors: kNotAnEntry, kSiteNotPatchable.
base::Result<std::uint64_t> find_entry(std::uint64_t address, Failure& failure);
/// Errors: kNoMatch, with symbols like it; kSiteNotPatchable; kOutOfMemory.
base::Result<void> find_symbol(std::string_view symbol, Failure& failure);

}  // namespace calltap::ops
