#include "inject/x86_64/thread_choice.h"

#include <linux/futex.h>
#include <sys/syscall.h>

#include <algorithm>
#include <thread>

#include "inject/process_files.h"

namespace calltap::inject {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kUnknown{1000};

Candidate ended(pid_t thread, bool timed, milliseconds time_out) {
  if (!timed) return {thread, Disturbance::kEnded, {}};
  return {thread, Disturbance::kEndedTimed, time_out};
}

Candidate waiting_in(pid_t thread, const WaitingCall& call) {
  const auto& argument = call.arguments;
  auto timed = [&](bool is_timed) {
    return Candidate{thread, is_timed ? Disturbance::kTimed : Disturbance::kNone, {}};
  };
  auto milliseconds_of = [&](std::uint64_t value) { return milliseconds(static_cast<int>(value)); };
  constexpr long kEpollPwait2 = 441;
  switch (call.number) {
    case SYS_epoll_wait:
    case SYS_epoll_pwait:
      return ended(thread, static_cast<int>(argument[3]) >= 0, milliseconds_of(argument[3]));
    case kEpollPwait2:
      return ended(thread, argument[3] != 0, kUnknown);
    case SYS_rt_sigtimedwait:
      return ended(thread, argument[2] != 0, kUnknown);
    case SYS_semop:
      return ended(thread, false, {});
    case SYS_semtimedop:
      return ended(thread, argument[3] != 0, kUnknown);
    case SYS_io_getevents:
    case SYS_io_pgetevents:
      return ended(thread, argument[4] != 0, kUnknown);
    case SYS_io_uring_enter:
      return ended(thread, false, {});
    case SYS_futex: {
      const auto command = static_cast<int>(argument[1]) & FUTEX_CMD_MASK;
      return timed((command == FUTEX_WAIT || command == FUTEX_WAIT_BITSET) && argument[3] != 0);
    }
    case SYS_poll:
      return timed(static_cast<int>(argument[2]) >= 0);
    case SYS_select:
    case SYS_pselect6:
      return timed(argument[4] != 0);
    case SYS_ppoll:
      return timed(argument[2] != 0);
    case SYS_nanosleep:
    case SYS_clock_nanosleep:
      return timed(true);
    // These would end with EINTR if the socket has a time-out, which is not to be seen from here.
    case SYS_recvfrom:
    case SYS_recvmsg:
    case SYS_recvmmsg:
    case SYS_accept:
    case SYS_accept4:
      return timed(true);
    case SYS_write:
    case SYS_writev:
    case SYS_pwrite64:
    case SYS_pwritev:
    case SYS_sendto:
    case SYS_sendmsg:
    case SYS_sendmmsg:
    case SYS_sendfile:
    case SYS_splice:
    case SYS_copy_file_range:
    case SYS_connect:
    case SYS_ioctl:
    case SYS_close:
      return {thread, Disturbance::kPartial, {}};
    default:
      return {thread, Disturbance::kNone, {}};
  }
}

}  // namespace

std::vector<Candidate> candidates(pid_t pid) {
  std::vector<Candidate> found;
  for (const pid_t thread : threads_of(pid)) {
    const StatusFields status = status_of(pid, thread);
    const auto state = status.find("State");
    // A thread in an uninterruptible wait stops only when that is over; a dead one never.
    if (state == status.end() || state->second.find_first_of("DZXtT") == 0) continue;
    const auto call = waiting_call_of(pid, thread);
    if (call && call->number >= 0)
      found.push_back(waiting_in(thread, *call));
    else
      found.push_back({thread, Disturbance::kRunning, {}});
  }
  std::stable_sort(found.begin(), found.end(),
                   [](const Candidate& a, const Candidate& b) { return a.disturbance < b.disturbance; });
  return found;
}

void wait_for_next_call(pid_t pid, const Candidate& candidate, Clock::time_point until) {
  constexpr milliseconds kJustBegun{3};
  if (candidate.time_out <= kJustBegun) return;
  const std::uint64_t before = times_scheduled(pid, candidate.thread);
  const Clock::time_point until_next = std::min(until, Clock::now() + candidate.time_out + milliseconds(50));
  while (Clock::now() < until_next && times_scheduled(pid, candidate.thread) == before)
    std::this_thread::sleep_for(std::chrono::microseconds(200));
}

}  // namespace calltap::inject
