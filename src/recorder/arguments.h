// The arguments of recorded calls: a client beside the recorder's, registered before it, which writes what
// the argument registers hold right before the call's entry event.
#pragma once

#include "base/error.h"
#include "ops/failure.h"
#include "ops/function_filter.h"

namespace calltap::recorder {

/// Before the recorder's client is registered. `filter` is the recorder's. Errors: as ops::register_client.
base::Result<void> add_arguments(const ops::FunctionFilter& filter, ops::Failure& failure);
/// The recorder's client is registered, and the tool has been told of all functions: from now on arguments
/// are written.
void arm_arguments();
/// Any thread.
bool records_arguments();
/// These do nothing if there is no such client.
/// Errors: as recorder::set_filter, set_paused, detach.
base::Result<void> set_arguments_filter(const ops::FunctionFilter& filter, ops::Failure& failure);
base::Result<void> set_arguments_paused(bool paused, ops::Failure& failure);
base::Result<void> remove_arguments(ops::Failure& failure);

}  // namespace calltap::recorder
