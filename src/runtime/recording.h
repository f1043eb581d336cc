// The recording of this process: from a session's name to events, and back to none.
#pragma once

#include <span>
#include <string_view>

#include "base/error.h"
#include "ops/engine.h"

namespace calltap::runtime {

/// Joins the session that is set (session.h) and records what it asks for. Errors: kConnect, kProtocol,
/// kVersion, kOutOfMemory, as ops::start_engine and recorder::attach; nothing is recorded then.
base::Result<void> start_recording(ops::EngineStart when, ops::Failure& failure);

/// Ends it; the process runs on. Afterwards nobody writes into the tool's buffers, and another recording can
/// begin. Does nothing if there is none. Errors: as recorder::detach, and then it goes on.
base::Result<void> stop_recording(ops::Failure& failure);

/// Calls put(context, message) with a buffer::Module message for each module that has hooked functions,
/// or had some in this recording before it was unloaded.
void describe_modules(void (*put)(void* context, std::span<const std::uint8_t> message), void* context);

/// Filters as the Welcome message has them; triggers are passed by. Errors: kProtocol, kFilterSyntax,
/// kOutOfMemory.
base::Result<void> read_filters(std::span<const std::uint8_t> text, ops::FunctionFilter& filter);

}  // namespace calltap::runtime
