"""Calls in threads in every state: the call is made, and the program notices nothing."""
import os
import pathlib
import shutil
import signal
import subprocess

from process import Target, expect

# State, and the system calls that its thread is found in (219: one of those that has been restarted); none: it runs.
WAITING = {"read": (0,), "futex": (202,), "futex_timed": (202, 219), "join": (202,), "nanosleep": (35, 230, 219), "poll": (7, 219),
           "poll_timed": (7, 219), "epoll": (232,), "epoll_timed": (232,), "sigtimedwait": (128,), "sigsuspend": (130,), "pause": (34,),
           "recv_timed": (45,), "semtimedop": (220,)}
RUNNING = ("busy", "coroutine", "registers", "errno", "handler", "malloc", "fork")


def calls(injection, target, count=5):
    for number in range(1, count + 1):
        result = injection.call(target.pid)
        loaded = "new" if number == 1 else "known"
        expect(isinstance(result, tuple) and result[:2] == (42_000 + number, loaded), f"call {number}: {result}")


def wake(target, state):
    """What ends the wait, if it is not what ends the state."""
    if state in ("sigsuspend", "pause"):
        target.process.stdin.write("x")
        target.process.stdin.flush()
        os.kill(target.pid, signal.SIGUSR1)


def in_state(state, *options):
    def test(injection):
        with Target(injection, state, *options) as target:
            if state in WAITING:
                target.wait_in_call(*WAITING[state])
            calls(injection, target)
            wake(target, state)
    return test


for name in (*WAITING, *RUNNING):
    globals()[f"test_{name}"] = in_state(name)
    globals()[f"test_{name}_under_alarms"] = in_state(name, "alarms")


def test_all_threads_in_malloc(injection):
    with Target(injection, "malloc", "threads=8") as target:
        calls(injection, target)


def test_all_threads_in_the_loader(injection):
    with Target(injection, "dlopen", "threads=4", f"library={injection.programs / 'libreloaded.so'}") as target:
        calls(injection, target)


def signal_during_the_call(state, number):
    """Blocked meanwhile, then delivered; its handler ends the wait as it would have."""
    def test(injection):
        with Target(injection, state) as target:
            target.wait_in_call(number)
            injection.call(target.pid)  # the others find the library
            # Some calls make more, when a thread is not at the right moment at once.
            requests = min(injection.call(target.pid, environment={"CALLTAP_COUNT": "1"}) for _ in range(5))
            for at in range(1, requests + 1):
                target.wait_in_call(number)
                result = injection.call(target.pid, environment={"CALLTAP_RUN_AT": str(at),
                                                                 "CALLTAP_RUN": f"kill -USR1 {target.pid}"})
                expect(isinstance(result, tuple), f"signal before request {at}: {result}")
            # Each signal makes one round. One whose EINTR is lost leaves it waiting.
            target.wait_in_call(number)
            wake(target, state)
            output, errors = target.process.communicate(timeout=60)
            target.ends = False
            rounds = int(output.split("rounds=")[1].split()[0])
            expect(" eintr=0 errors=0" in output and rounds == requests + 1, f"{requests}: {output} {errors}")
    return test


test_signal_during_the_call_in_sigsuspend = signal_during_the_call("sigsuspend", 130)
test_signal_during_the_call_in_pause = signal_during_the_call("pause", 34)


def test_thousand_calls_leave_no_trace(injection):
    with Target(injection, "poll") as target:
        target.wait_in_call(7)
        calls(injection, target, 10)
        before = target.mappings(), target.descriptors(), resident(target.pid)
        for number in range(1000):
            result = injection.call(target.pid)
            expect(isinstance(result, tuple), f"call {number}: {result}")
        after = target.mappings(), target.descriptors(), resident(target.pid)
        expect(after[:2] == before[:2] and after[2] <= before[2] + 16, f"{before} became {after}")


def resident(pid):
    """Pages that it has written. Pages it only reads are not counted: they are private as soon as nobody else maps the file."""
    text = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text()
    return sum(int(line.split()[1]) // 4 for line in text.splitlines() if line.startswith("Private_Dirty"))


def test_two_libraries(injection):
    """The second file has the descriptor that the first had, and is not taken for it."""
    with Target(injection, "poll") as target:
        target.wait_in_call(7)
        calls(injection, target, 2)
        result = injection.call(target.pid, library=injection.programs / "libother.so", soname="libother.so")
        expect(isinstance(result, tuple) and result[:2] == (42_001, "new"), f"{result}")


def test_executable_and_libraries_deleted(injection):
    """The program's own loader and C library, all gone from the disk and others in their place."""
    place = injection.folder / "private"
    place.mkdir()
    binary = injection.programs / "target"
    needed = subprocess.run(["ldd", str(binary)], capture_output=True, text=True, check=True).stdout
    for word in needed.split():
        if word.startswith("/"):
            shutil.copy(word, place)
    shutil.copy(binary, place)
    loader = next(place.glob("ld-*"))
    command = [str(loader), "--library-path", str(place), str(place / "target")]
    with Target(injection, "poll", command=command) as target:
        target.wait_in_call(7)
        for path in list(place.iterdir()):
            path.unlink()
            path.write_bytes(b"something else")
        calls(injection, target)


def test_error_of_the_loader(injection):
    broken = injection.folder / "broken.so"
    broken.write_bytes(b"no library")
    with Target(injection, "poll") as target:
        before = target.mappings(), target.descriptors()
        result = injection.call(target.pid, library=broken, soname="libbroken.so")
        expect(isinstance(result, str) and "dlopen failed" in result and "file too short" in result, f"{result}")
        expect((target.mappings(), target.descriptors()) == before, "something is left")
        result = injection.call(target.pid, function="no_such_function")
        expect(isinstance(result, str) and "dlsym failed" in result and "no_such_function" in result, f"{result}")
        calls_again = injection.call(target.pid)
        expect(calls_again[:2] == (42_001, "known"), f"{calls_again}")


def test_crash_of_the_library(injection):
    with Target(injection, "poll") as target:
        result = injection.call(target.pid, function="injected_crash", argument=16)
        expect(isinstance(result, str) and "crashed" in result and "Segmentation fault" in result, f"{result}")
        expect(injection.call(target.pid)[0] == 42_001, "the library cannot be used any more")


def test_end_of_the_process_in_the_call(injection):
    with Target(injection, "poll", ends=False) as target:
        result = injection.call(target.pid, function="injected_exit", argument=3)
        expect(isinstance(result, str) and f"process {target.pid}" in result and "ended" in result, f"{result}")
        expect(target.process.wait(60) == 3, "it ended otherwise")


def test_call_that_does_not_end(injection):
    with Target(injection, "poll", ends=False) as target:
        result = injection.call(target.pid, function="injected_loop", timeout=300)
        expect(isinstance(result, str) and "did not end in time" in result, f"{result}")
        expect("TracerPid:\t0" in pathlib.Path(f"/proc/{target.pid}/status").read_text(), "it is still traced")
        expect(target.process.poll() is None, "it has ended")
