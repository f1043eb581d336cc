// The recorder as a client of the engine: an ops like any other, whose trampoline writes events.
#pragma once

#include <cstdint>
#include <span>

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
/// From now on these functions (ascending numbers), and no others that the filter selects, are not recorded.
/// Calls that are in them still write their exits. Until the first time all that were turned off now were
/// recorded, and from the second one all that were turned on. Errors: kNotRegistered, as ops::leave_out.
struct LeavingOut {
  std::uint64_t begun = 0;  // ticks
  std::uint64_t done = 0;
};
base::Result<LeavingOut> leave_out(std::span<const std::uint32_t> functions, ops::Failure& failure);
/// Detaches from all functions without giving up the registration, and back. Errors: kNotRegistered, as
/// ops::disable_client and ops::enable_client.
base::Result<void> set_paused(bool paused, ops::Failure& failure);

enum class ClientStatus : std::uint8_t { kDetached, kAttached, kPaused };
/// Any thread.
ClientStatus status();

}  // namespace calltap::recorder
