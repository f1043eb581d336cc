// The recorder as a client of the engine: an ops like any other, whose trampoline writes events.
#pragma once

#include "ops/engine.h"

namespace calltap::recorder {

/// Registers the client: events of everything that the filter selects, now and in modules to come. `attached`
/// is told of every module before its first event. Errors: as ops::register_client; kAlreadyRegistered.
base::Result<void> attach(const ops::FunctionFilter& filter, ops::RecorderAttached attached,
                          ops::Failure& failure);
/// Unregisters it and waits for its handlers; calls in flight may still write events. Does nothing if it is
/// not registered. Errors: as ops::begin_unregister, ops::wait_for_handlers.
base::Result<void> detach(ops::Failure& failure);
/// What is recorded from now on, all or nothing. Errors: kNotRegistered, as ops::set_client_filter.
base::Result<void> set_filter(const ops::FunctionFilter& filter, ops::Failure& failure);
/// Detaches from all functions without giving up the registration, and back. Errors: kNotRegistered, as
/// ops::disable_client and ops::enable_client.
base::Result<void> set_paused(bool paused, ops::Failure& failure);

enum class ClientStatus : std::uint8_t { kDetached, kAttached, kPaused };
/// Any thread.
ClientStatus status();

}  // namespace calltap::recorder
