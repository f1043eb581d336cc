// The recorder as a client of the engine: an ops like any other, whose trampoline writes events.
#pragma once

#include "ops/engine.h"

namespace calltap::recorder {

/// Registers the client: events of everything that the filter selects, now and in modules to come. `attached`
/// is told of every module before its first event. Call once. Errors: as ops::register_client.
base::Result<void> attach(const ops::FunctionFilter& filter, ops::RecorderAttached attached);

}  // namespace calltap::recorder
