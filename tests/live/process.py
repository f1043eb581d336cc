"""A target that runs, and the tool beside it."""
import json
import os
import pathlib
import re
import select
import signal
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "hazard"))
import recording  # noqa: E402

TIMEOUT = 40


def expect(condition, message):
    if not condition:
        raise AssertionError(message)


def wait_until(condition, what):
    deadline = time.monotonic() + TIMEOUT
    while not (value := condition()):
        expect(time.monotonic() < deadline, f"never: {what}")
        time.sleep(0.002)
    return value


def read(path):
    """A file of /proc, or nothing if it is gone."""
    try:
        return pathlib.Path(path).read_text()
    except OSError:
        return ""


def complaints(errors):
    """What a live view says on standard error besides its last line, which is there and has nothing that was lost."""
    rest, found = re.subn(r"^calltap: [0-9,]+ events? of [0-9,]+ threads?\n", "", errors, flags=re.M)
    expect(found == 1, f"no summary: {errors!r}")
    return rest


class Target:
    """A running program that obeys: with Target(live) as target. Leaving it lets it end and checks how it does."""

    def __init__(self, live, program="pad/target", *arguments, command=None, ends=True, environment=None):
        self.live = live
        self.ends = ends
        self.said = ""
        path = live.programs / program
        self.process = subprocess.Popen([*(command or []), str(path), *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, text=True, bufsize=1, cwd=live.folder,
                                        env={**os.environ, **(environment or {})})
        self.expect_line("ready")
        self.pid = self.process.pid
        if command:  # which may have become the program, or have started it
            comm = pathlib.Path(program).name
            pids = [self.pid, *map(int, read(f"/proc/{self.pid}/task/{self.pid}/children").split())]
            self.pid = next(pid for pid in pids if read(f"/proc/{pid}/comm").strip() == comm)

    def line(self):
        """The next line that it says."""
        while "\n" not in self.said:
            expect(select.select([self.process.stdout], [], [], TIMEOUT)[0], "the target hangs")
            part = os.read(self.process.stdout.fileno(), 4096).decode()
            if not part:
                return self.said
            self.said += part
        line, self.said = self.said.split("\n", 1)
        return line

    def expect_line(self, wanted):
        line = self.line()
        expect(line == wanted, f"the target said {line!r}, not {wanted!r}")

    def order(self, command):
        self.process.stdin.write(command + "\n")

    def ask(self, command):
        self.order(command)
        return self.line()

    def obey(self, command):
        answer = self.ask(command)
        word = command.split()[0]
        expect(answer == f"{word} 0", f"{command}: the target said {answer!r}")

    def descriptors(self):
        return sorted((fd, os.readlink(f"/proc/{self.pid}/fd/{fd}")) for fd in os.listdir(f"/proc/{self.pid}/fd"))

    def threads(self):
        return [read(f"/proc/{self.pid}/task/{tid}/comm").strip() for tid in os.listdir(f"/proc/{self.pid}/task")]

    def has_control_thread(self):
        try:
            return "calltap-control" in self.threads()
        except FileNotFoundError:
            return False

    def kill(self, number=signal.SIGKILL):
        os.kill(self.pid, number)

    def wait(self):
        """The exit status and what it still said."""
        try:
            output, errors = self.process.communicate(timeout=TIMEOUT)
        except subprocess.TimeoutExpired:
            threads = [(read(f"/proc/{self.pid}/task/{tid}/comm"), read(f"/proc/{self.pid}/task/{tid}/syscall"))
                       for tid in os.listdir(f"/proc/{self.pid}/task")]
            self.process.kill()
            raise AssertionError(f"the target hangs: {threads} {self.process.communicate()}") from None
        return self.process.returncode, self.said + output, errors

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        if kind is not None or not self.ends:
            for pid in {self.pid, self.process.pid}:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
            self.process.communicate()
            return
        status, output, errors = self.wait()
        expect(status == 0, f"the target ended with {status}: {output} {errors}")


class Live:
    """What the tests use: the tool, programs, and a folder for files."""

    def __init__(self, calltap, programs, folder):
        self.calltap = calltap
        self.programs = pathlib.Path(programs)
        self.folder = pathlib.Path(folder)
        self.directory = self.folder / "recording"

    def command(self, *words):
        return [self.calltap, *map(str, words)]

    def run(self, *words, prefix=(), **options):
        return subprocess.run([*prefix, *self.command(*words)], cwd=self.folder, capture_output=True, text=True, timeout=TIMEOUT,
                              check=False, **options)

    def done(self, *words):
        """Standard output of a command that succeeds and has nothing to complain about."""
        process = self.run(*words)
        errors = complaints(process.stderr) if words[0] in ("trace", "stat") else process.stderr
        expect(process.returncode == 0 and not errors, f"{words}: status {process.returncode}: {process.stderr}")
        return process.stdout

    def refused(self, *words, says=(), status=1, prefix=()):
        """A clear refusal: this status, and a short message with these words."""
        process = self.run(*words, prefix=prefix)
        expect(process.returncode == status, f"{words}: status {process.returncode}: {process.stdout} {process.stderr}")
        expect(process.stderr.startswith("calltap:"), f"no message of calltap's: {process.stderr!r}")
        expect(process.stderr.count("\n") <= 6, f"a long message: {process.stderr!r}")
        for word in says:
            expect(str(word) in process.stderr, f"{word!r} is not in {process.stderr!r}")
        return process.stderr

    def start(self, *words):
        return subprocess.Popen(self.command(*words), cwd=self.folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def status(self, pid):
        return json.loads(self.done("status", pid, "--json"))

    def verified(self, pid):
        output = self.done("verify", pid)
        expect("no difference" in output, output)

    def wait_for_recording(self, pid, state="on"):
        """Until the process is recorded; a tool that has started is not there yet."""
        def is_so():
            process = self.run("status", pid, "--json")
            return process.returncode == 0 and json.loads(process.stdout)["recording"] == state
        wait_until(is_so, f"recording {state}")

    def reported(self, directory=None):
        return recording.calls(self.calltap, directory or self.directory)

    def info(self, directory=None):
        return recording.ask(self.calltap, "info", directory or self.directory)

    def record(self, pid, *options, directory=None):
        """`calltap record -p`, started, and the process is being recorded."""
        tool = self.start("record", "-p", pid, "-o", directory or self.directory, *options)
        self.wait_for_recording(pid)
        return tool


def finish(tool, number=None, status=0):
    """Ends a tool with a signal, or waits for it; its output."""
    if number is not None:
        tool.send_signal(number)
    try:
        output, errors = tool.communicate(timeout=TIMEOUT)
    except subprocess.TimeoutExpired:
        tool.kill()
        raise AssertionError(f"the tool hangs: {tool.communicate()}") from None
    expect(tool.returncode == status, f"the tool ended with {tool.returncode}: {output} {errors}")
    return output, errors
