#!/usr/bin/env python3
"""gdb sees through hooked frames: stopped anywhere, each thread's backtrace goes down to where it began."""
import argparse
import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile

import recorded_process

STOPS = 8
DEBUGGER = ["gdb", "-nx", "-q", "-batch", "-ex", "set debuginfod enabled off"]


def backtraces(pid):
    """The function names of each thread's frames."""
    process = subprocess.run([*DEBUGGER, "-p", str(pid), "-ex", "thread apply all backtrace"], capture_output=True,
                             text=True, check=False, timeout=60)
    threads = re.split(r"^Thread \d+ ", process.stdout, flags=re.MULTILINE)[1:]
    return [re.findall(r"^#\d+ +(?:0x[0-9a-f]+ in )?([\w.:]+)", thread, re.MULTILINE) for thread in threads]


def check(pid):
    problems = []
    hooked = 0
    for _ in range(STOPS):
        threads = backtraces(pid)
        if len(threads) != 2:
            problems.append(f"{len(threads)} threads: {threads}")
        for frames in threads:
            hooked += "ct_recorder" in frames
            # A frame may not occur more often than the program nests it.
            if frames.count("main") + frames.count("other_thread") != 1 or frames.count("work") > 1:
                problems.append(f"frames {frames}")
    if hooked == 0:
        problems.append("no stop was below a hooked call")
    return problems


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calltap", required=True)
    parser.add_argument("program")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="calltap-hazard-") as scratch:
        command = [arguments.calltap, "record", "--max-size", "1M", "-o", str(pathlib.Path(scratch) / "recording"),
                   "--", arguments.program]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL) as tool:
            pid = recorded_process.wait_for_target(tool.pid, pathlib.Path(arguments.program).name)
            problems = check(pid)
            os.kill(pid, signal.SIGKILL)
    for problem in problems:
        print(f"FAIL {problem}")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
