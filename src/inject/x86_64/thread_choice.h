// Which threads to try first, so that as little as possible of the program notices.
#pragma once

#include <sys/types.h>

#include <vector>

#include "inject/tracee.h"

namespace calltap::inject {

/// In order of preference.
enum class Disturbance : std::uint8_t {
  kNone,     // waits in a call that the kernel restarts as if nothing had been
  kRunning,  // in its own code
  kTimed,  // the same with a time-out, of which the kernel keeps the rest, unless the function called sleeps
  kEnded,  // waits in a call that any stop ends; it can be made again
  kEndedTimed,  // the same with a time-out, which begins anew: to be met when the call has just begun
  kPartial      // may have written a part of its data, and then says so
};

struct Candidate {
  pid_t thread = 0;
  Disturbance disturbance = Disturbance::kNone;
  std::chrono::milliseconds time_out{};  // of kEndedTimed, where known
};

/// All threads that can be stopped, the best first.
std::vector<Candidate> candidates(pid_t pid);

/// Waits until the thread has run, which is to say is in its next call, if it is in one; at most until
/// `until`.
void wait_for_next_call(pid_t pid, const Candidate& candidate, Clock::time_point until);

}  // namespace calltap::inject
