// Which sites of a module a filter selects.
#pragma once

#include <cstdint>

#include "base/array.h"
#include "base/error.h"
#include "ops/function_filter.h"
#include "ops/modules.h"

namespace calltap::ops {

/// Appends the indices of the selected sites, ascending. The module is open, and the matcher has entered it.
/// Takes time for what is selected only, except where patterns decide: these are asked of every function.
/// Under the engine's lock. Errors: kOutOfMemory.
base::Result<void> select_sites(Module& module, const Matcher& matcher, base::Array<std::uint32_t>& selected);

}  // namespace calltap::ops
