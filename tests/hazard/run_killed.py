#!/usr/bin/env python3
"""SIGKILL in mid-run: the recording has every call that the program said was done, and both readers open it."""
import argparse
import os
import pathlib
import signal
import subprocess
import sys
import tempfile

import call_counts
import recorded_process
import recording
import trace_events

WANTED_CALLS = 20000


def kill_in_mid_run(arguments, directory, counts_file):
    """Returns the last number of calls that the program acknowledged."""
    environment = dict(os.environ, CALLS_FILE=str(counts_file))
    command = [arguments.calltap, "record", "-o", str(directory), "--", arguments.program]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as tool:
        for line in tool.stdout:
            if int(line) >= WANTED_CALLS:
                os.kill(recorded_process.wait_for_target(tool.pid, "killed"), signal.SIGKILL)
                break
        rest = tool.stdout.read().split()
    acknowledged = int(rest[-1]) if rest else int(line)
    return acknowledged, tool.returncode


def check(arguments, scratch):
    problems = []
    counts_file = scratch / "calls"
    directory = scratch / "recording"
    call_counts.create(counts_file)
    acknowledged, status = kill_in_mid_run(arguments, directory, counts_file)
    if status != 128 + signal.SIGKILL:
        problems.append(f"record ended with {status}, not {128 + signal.SIGKILL}")
    counted = call_counts.read(counts_file)
    reported = recording.calls(arguments.calltap, directory)
    if reported["work"] < acknowledged:
        problems.append(f"work: acknowledged {acknowledged}, reported {reported['work']}")
    for name, count in counted.items():
        # An entry is written before the function counts itself, so each thread can be one ahead, never behind.
        if not count <= reported[name] <= count + 2:
            problems.append(f"{name}: counted {count}, reported {reported[name]}")
    if recording.discarded(arguments.calltap, directory) != 0:
        problems.append("events were discarded")
    for process in trace_events.process_directories(directory):
        if trace_events.read_process(process).events == 0:
            problems.append(f"{process.name}: no events")
    other = subprocess.run([arguments.babeltrace, arguments.calltap, str(directory)], capture_output=True,
                           text=True, check=False)
    if other.returncode != 0:
        problems.append(f"babeltrace2 disagrees: {other.stdout}{other.stderr}")
    return problems


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calltap", required=True)
    parser.add_argument("--babeltrace", required=True)
    parser.add_argument("program")
    arguments = parser.parse_args()
    problems = []
    for _ in range(3):
        with tempfile.TemporaryDirectory(prefix="calltap-hazard-") as scratch:
            problems += check(arguments, pathlib.Path(scratch))
    for problem in problems:
        print(f"FAIL {problem}")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
