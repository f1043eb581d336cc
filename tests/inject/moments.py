"""Threads that may not be borrowed where they are: another one is, or the message says which thread was where."""
import os
import pathlib
import signal

from process import Target, expect
from states import calls


def never(injection, state, *parts, options=()):
    with Target(injection, state, *options) as target:
        target.wait_in_call(7)
        result = injection.call(target.pid, timeout=200)
        expect(isinstance(result, str) and "could be borrowed within 200 ms" in result and
               all(part.format(target.pid) in result for part in parts), f"not {parts}: {result}")


def test_in_an_allocator(injection):
    never(injection, "in_allocator", "thread {} is in mallocx")


def test_in_what_an_allocator_jumped_to(injection):
    never(injection, "in_tail_call", "thread {} is in dallocx")


def test_in_a_handler_of_a_signal_in_an_allocator(injection):
    never(injection, "in_handler_above_allocator", "thread {} is in sallocx")


def test_in_a_constructor(injection):
    never(injection, "in_constructor", "thread {} is in dlopen",
          options=(f"library={injection.programs / 'libwaiting.so'}",))


def test_leftovers_on_the_stack(injection):
    """Only look like frames: unwinding shows that they are none, where it can."""
    with Target(injection, "leftover") as target:
        target.wait_in_call(7)
        calls(injection, target)
    never(injection, "leftover_unclear", "code without unwind tables, perhaps below malloc")


def test_another_thread_is_taken(injection):
    """Of two, one is always in an allocator."""
    with Target(injection, "half_in_allocator", "threads=2") as target:
        target.wait_in_call(7)
        calls(injection, target)


def test_restartable_sequence(injection):
    """Between two is the moment, or where the kernel begins one again. Within, the program would see that it is forgotten."""
    with Target(injection, "restartable") as target:
        for _ in range(30):
            result = injection.call(target.pid, timeout=100)
            expect(isinstance(result, tuple) or "restartable sequence" in result, f"{result}")


def test_vfork(injection):
    with Target(injection, "vfork") as target:
        target.wait_until(lambda: "State:\tD" in pathlib.Path(f"/proc/{target.pid}/status").read_text(), "in vfork")
        result = injection.call(target.pid, timeout=200)
        expect(isinstance(result, str) and "wait inside the kernel" in result, f"{result}")


def test_other_thread_executes_a_program(injection):
    """At each request to the kernel: an error, no waiting, and the new program runs."""
    with Target(injection, "other_executes") as target:
        requests = injection.call(target.pid, environment={"CALLTAP_COUNT": "1"})
    for at in range(1, requests + 1):
        with Target(injection, "other_executes") as target:
            target.wait_until(lambda t=target: len(os.listdir(f"/proc/{t.pid}/task")) == 2, "two threads")
            # The new program says so; a thread of the old one that is traced is in its way until the tool has seen its end.
            result = injection.call(target.pid, environment={"CALLTAP_RUN_AT": str(at), "CALLTAP_RUN":
                                                             f"kill -USR1 {target.pid}; sleep 0.01"}, timeout=2000)
            # It made fewer requests than the first time, perhaps; the new program leaves the signal blocked.
            os.kill(target.pid, signal.SIGUSR1)
            expect(target.process.stdout.readline() == "ready\n", "no new program")
            expect(isinstance(result, tuple) or "meanwhile" in result or "memory" in result, f"at {at}: {result}")
            target.wait_in_call(7, 219)
            expect(isinstance(injection.call(target.pid), tuple), f"at {at}: cannot be called again")
