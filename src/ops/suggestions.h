// "Did you mean": names like those that a filter asked for and no function has.
#pragma once

#include <string_view>

#include "ops/failure.h"
#include "ops/function_filter.h"

namespace calltap::ops {

// For the text of an error: these look at every function of every module, which are open afterwards. Under
// the engine's lock.

/// Notes the names nearest to the filter's first pattern or symbol that no function has, and a module that
/// has lost its names where it can be that.
void suggest_names(const Matcher& matcher, Failure& failure);
/// Notes the same for a symbol that no module has.
void suggest_symbols(std::string_view symbol, Failure& failure);

}  // namespace calltap::ops
