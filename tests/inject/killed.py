"""Either side killed at every step of a call."""
import os
import signal

from process import Target, expect
from states import WAITING, wake


def tool_killed(state, *options, loaded):
    """At each request to the kernel in turn; the target goes on, notices nothing, and can be called again."""
    def test(injection):
        def start():
            target = Target(injection, state, *options)
            if state in WAITING:
                target.wait_in_call(*WAITING[state])
            return target

        with start() as target:
            if loaded:
                injection.call(target.pid)
            requests = injection.call(target.pid, environment={"CALLTAP_COUNT": "1"})
            wake(target, state)
        expect(requests > 20, f"only {requests} requests")
        for at in range(1, requests + 1):
            with start() as target:
                if loaded:
                    injection.call(target.pid)
                injection.call(target.pid, environment={"CALLTAP_KILL_AT": str(at)})
                # Before the thread's registers are read and written: the window that docs/injection.md admits.
                target.may_see_eintr = state in ("epoll", "sigtimedwait") and at in (3, 4)
                if state in WAITING:
                    target.wait_in_call(*WAITING[state])
                result = injection.call(target.pid)
                expect(isinstance(result, tuple) and result[0] >= 42_001, f"killed before request {at}: {result}")
                wake(target, state)
    return test


for name in ("poll", "epoll", "nanosleep", "sigsuspend", "registers", "coroutine"):
    globals()[f"test_tool_killed_{name}"] = tool_killed(name, loaded=False)
    globals()[f"test_tool_killed_{name}_again"] = tool_killed(name, loaded=True)
test_tool_killed_under_alarms = tool_killed("busy", "alarms", loaded=False)


def test_target_killed(injection):
    """At each request: an error that says so, and no waiting."""
    with Target(injection, "poll") as target:
        requests = injection.call(target.pid, environment={"CALLTAP_COUNT": "1"})
    for at in range(1, requests + 1):
        with Target(injection, "poll", ends=False) as target:
            result = injection.call(target.pid, environment={"CALLTAP_RUN_AT": str(at), "CALLTAP_RUN":
                                                             f"kill -KILL {target.pid}"}, timeout=2000)
            if isinstance(result, tuple) and target.process.poll() is None:
                continue  # made fewer requests than the first one
            expect(target.process.wait(60) == -signal.SIGKILL, f"request {at}: it was not killed")
            # At the very end nothing is left to do.
            expect(isinstance(result, tuple) and at > requests - 3 or isinstance(result, str) and
                   ("ended" in result or "was killed by signal 9" in result or "no such process" in result),
                   f"killed before request {at} of {requests}: {result}")
