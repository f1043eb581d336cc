// From the engine's errors to the C interface's: an errno value, and a text for the calling thread.
#pragma once

#include <span>
#include <string_view>

#include "ops/engine.h"

namespace calltap::api {

/// Notes the text for ct_error_text() and returns the negative errno value. 0 for success, which leaves the
/// text.
int report(const char* function, const base::Result<void>& result, const ops::Failure& failure);
int report(const char* function, base::ErrorCode code, std::string_view reason = {});

/// One of several failures, with its module, into `out`, which is not empty.
void describe(const base::Error& error, const ops::Failure& failure, std::span<char> out);

}  // namespace calltap::api
