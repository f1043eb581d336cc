"""A scratch folder in which a test runs `calltap record` on target programs."""
import os
import pathlib
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "hazard"))
import call_counts  # noqa: E402
import exec_wrapper  # noqa: E402
import recording  # noqa: E402
import trace_events  # noqa: E402


class Session:
    def __init__(self, calltap, targets, folder, entry):
        self.calltap = calltap
        self.entry = entry
        self.targets = pathlib.Path(targets)
        self.folder = pathlib.Path(folder)
        self.directory = self.folder / "recording"
        self.calls_file = self.folder / "calls"
        call_counts.create(self.calls_file)
        self.environment = dict(os.environ, CALLS_FILE=str(self.calls_file))

    def command(self, options, program, *arguments):
        return [self.calltap, "record", "-o", str(self.directory), *options, "--", str(self.targets / program), *arguments]

    def run(self, command, **options):
        return subprocess.run(command, cwd=self.folder, env=self.environment, capture_output=True, text=True, timeout=90,
                              check=False, **options)

    def record(self, options, program, *arguments, **more):
        return self.run(self.command(options, program, *arguments), **more)

    def start(self, options, program, *arguments):
        """In a process group of its own, so that a test can press ctrl-C."""
        return subprocess.Popen(self.command(options, program, *arguments), cwd=self.folder, env=self.environment,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True)

    def counted(self):
        return call_counts.read(self.calls_file)

    def reported(self):
        return recording.calls(self.calltap, self.directory)

    def discarded(self):
        """Discarded events by reason, without the reasons that never applied."""
        total = {}
        for process in recording.ask(self.calltap, "info", self.directory)["processes"]:
            for reason, count in process["discarded"].items():
                if count:
                    total[reason] = total.get(reason, 0) + count
        return total

    def events(self):
        """Events in the files, read by ourselves."""
        return sum(trace_events.read_process(process).events for process in self.processes())

    def processes(self):
        return trace_events.process_directories(self.directory)

    def bytes(self):
        return sum(path.stat().st_size for path in self.directory.rglob("*") if path.is_file())


def expect(condition, message):
    if not condition:
        raise AssertionError(message)


def expect_refused(process, *words):
    """A clear refusal: a status that is not 0, no signal, one short message with these words."""
    expect(0 < process.returncode < 128, f"status {process.returncode}: {process.stderr}")
    expect(process.stderr.startswith("calltap:"), f"no message of calltap's: {process.stderr!r}")
    expect(process.stderr.count("\n") <= 6, f"a long message: {process.stderr!r}")
    for word in words:
        expect(word in process.stderr, f"{word!r} is not in {process.stderr!r}")


def expect_usage_error(process, *words):
    """What is wrong with the command line, in words of our own, and status 2."""
    expect_refused(process, *words)
    expect(process.returncode == 2, f"status {process.returncode}: {process.stderr}")
    expect("--help" in process.stderr, f"no way to help: {process.stderr!r}")
    for internal in ("FAILED", "Could not convert", "{", "17976931348623157"):
        expect(internal not in process.stderr, f"the parser's own words: {process.stderr!r}")


def expect_exact(session):
    """Every call that the program counted is in the recording, no more and no less."""
    counted, reported = session.counted(), session.reported()
    for name, count in counted.items():
        expect(reported[name] == count, f"{name}: counted {count}, reported {reported[name]}")
