"""A target in one state, and calls in it."""
import os
import pathlib
import subprocess
import time

TIMEOUT = 60


def expect(condition, message):
    if not condition:
        raise AssertionError(message)


class Injection:
    """What the tests use: programs, the library, and a folder for files."""

    def __init__(self, programs, folder):
        self.programs = pathlib.Path(programs)
        self.library = self.programs / "libinjected.so"
        self.folder = pathlib.Path(folder)

    def call(self, pid, function="injected_call", argument=42, library=None, soname="libinjected.so", timeout=20_000,
             environment=None, prefix=()):
        """(value, "known" or "new", stopped nanoseconds), or the text of the error."""
        process = subprocess.run(
            [*prefix, str(self.programs / "call_in"), str(pid), str(library or self.library), soname, function, str(argument),
             str(timeout)], capture_output=True, text=True, timeout=TIMEOUT, env={**os.environ, **(environment or {})},
            check=False)
        if process.returncode < 0:
            return None
        if process.returncode != 0:
            expect(process.stdout.startswith("error: "), f"{process.stdout} {process.stderr}")
            return process.stdout.strip().removeprefix("error: ")
        value, loaded, stopped = process.stdout.splitlines()[0].split()
        if "requests" in process.stdout:
            return int(process.stdout.splitlines()[1].split()[0])
        return int(value), loaded, int(stopped)


class Target:
    """A running target: with Target(injection, "poll") as target. Leaving it ends it and checks what it says."""

    def __init__(self, injection, *arguments, command=None, ends=True, cwd=None):
        command = command or [str(injection.programs / "target")]
        self.process = subprocess.Popen([*command, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, text=True, cwd=cwd)
        self.ends = ends
        self.may_see_eintr = False
        self.pid = self.process.pid
        line = self.process.stdout.readline()
        expect(line == "ready\n", f"the target said {line!r}, {self.process.stderr.read() if not line else ''}")

    def wait_until(self, condition, what):
        deadline = time.monotonic() + TIMEOUT
        while not condition():
            expect(time.monotonic() < deadline, f"never: {what}")
            time.sleep(0.001)

    def system_call(self):
        try:
            return pathlib.Path(f"/proc/{self.pid}/syscall").read_text().split()[0]
        except OSError:
            return ""

    def wait_in_call(self, *numbers):
        self.wait_until(lambda: self.system_call() in map(str, numbers), f"in system call {numbers}")

    def mappings(self):
        return len(pathlib.Path(f"/proc/{self.pid}/maps").read_text().splitlines())

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        if kind is not None or not self.ends:
            self.process.kill()
            self.process.communicate()
            return
        try:
            output, errors = self.process.communicate("x", timeout=TIMEOUT)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise AssertionError(f"the target hangs: {self.process.communicate()}") from None
        if self.may_see_eintr:
            output = output.replace("eintr=1", "eintr=0")
        expect(self.process.returncode == 0 or self.may_see_eintr, f"the target ended with {self.process.returncode}: {output} {errors}")
        expect(" eintr=0 errors=0" in output and "rounds=0 " not in output, f"the target said {output} {errors}")
