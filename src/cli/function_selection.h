// -F and -N patterns over the functions of a recording.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "trace/session.h"

namespace calltap::cli {

using FunctionPredicate = std::function<bool(const trace::ProcessTrace&, const trace::FunctionDescription&)>;

/// A predicate of -F and -N patterns, empty when there are none. Throws CLI::ValidationError at a pattern
/// that cannot be parsed, and TraceError when no function of the recording satisfies them.
FunctionPredicate select_functions(const trace::Session& session, const std::vector<std::string>& wanted,
                                   const std::vector<std::string>& unwanted);

}  // namespace calltap::cli
