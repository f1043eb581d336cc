// What a recording does when certain functions are called: clients beside the recorder's, registered before
// it, so that a function which turns events on is the first one that is seen.
#pragma once

#include <cstdint>
#include <string_view>

#include "base/error.h"
#include "ops/failure.h"

namespace calltap::recorder {

enum class TriggerAction : std::uint8_t {
  kTraceOn,   // events are written again, by all threads
  kTraceOff,  // no events, of the calling thread from now on, of the others within a millisecond or so
  kSnapshot,  // what is in the buffers is set aside (flight mode)
  kWhile,     // events are written only inside such functions: themselves and what they call, each thread its
              // own
  kStackTrace,  // the call stack is written, where events are
};
/// "traceon", "traceoff", "snapshot", "while", "stacktrace".
std::string_view name(TriggerAction action);

inline constexpr std::size_t kMaxTriggers = 16;
/// Without a count a trigger acts at every call.
inline constexpr std::uint64_t kEveryTime = ~std::uint64_t{0};

/// Before the recording begins, and before the recorder's client is registered. `glob` is a filter's pattern.
/// Errors: kFilterSyntax, kInvalidArgument (more than kMaxTriggers), as ops::register_client.
base::Result<void> add_trigger(TriggerAction action, std::string_view glob, std::uint64_t count,
                               ops::Failure& failure);
/// The recorder's client is registered: from now on triggers act and are counted.
void arm_triggers();
/// Unregisters all of them and opens the gate. Errors: as recorder::detach.
base::Result<void> remove_triggers(ops::Failure& failure);

/// Called by a trigger for what its thread cannot do itself, in any context, with signals blocked: the
/// control thread then calls enforce_gate(), and takes a snapshot if one is wanted.
void set_helper(void (*wake)());
/// Since the last call, a trigger has asked for a snapshot.
bool take_snapshot_request();

}  // namespace calltap::recorder
