#!/usr/bin/env python3
"""Runs a target program plain and under `calltap record`, and compares.

What must hold: standard output, standard error and the way it ended are the same; the recording has exactly the calls
that the program counted itself, of every function; nothing was discarded; every recorded call that the program left
has an exit, unless --exits says that it need not.
"""
import argparse
import os
import pathlib
import re
import resource
import signal
import subprocess
import sys
import tempfile

import call_counts
import exec_wrapper
import recording
import trace_events

# CALLTAP_PATIENCE: on a machine that is as many times slower.
TIMEOUT_SECONDS = 40 * int(os.environ.get("CALLTAP_PATIENCE", "1"))


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calltap", required=True)
    parser.add_argument("--babeltrace", help="the script that compares babeltrace2 with calltap info")
    parser.add_argument("--exits", choices=("all", "fewer", "any"), default="all",
                        help="fewer: calls may be in flight at the end; any: and a child returns from its parent's calls")
    parser.add_argument("--ahead", type=int, default=0,
                        help="so many calls may have been left by a signal after their entry, before they counted")
    parser.add_argument("--args", action="store_true", help="record the arguments of calls too")
    parser.add_argument("--keep", help="put the recording here and keep it")
    parser.add_argument("program", nargs=argparse.REMAINDER)
    return parser.parse_args()


def run(command, counts_file):
    """Runs the command in the folder of the counts, where files that it leaves behind are deleted afterwards."""
    call_counts.create(counts_file)
    environment = dict(os.environ, CALLS_FILE=str(counts_file))
    with subprocess.Popen(command, env=environment, cwd=counts_file.parent, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True) as process:
        try:
            stdout, stderr = process.communicate(timeout=TIMEOUT_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)  # the target as well as the tool
            raise
    return subprocess.CompletedProcess(command, process.returncode, stdout, stderr)


def status_of(process):
    """As a shell says it, which is how calltap record forwards a signal."""
    return process.returncode if process.returncode >= 0 else 128 - process.returncode


def compare_runs(plain, recorded):
    problems = []
    if status_of(plain) != status_of(recorded):
        problems.append(f"status: plain {status_of(plain)}, recorded {status_of(recorded)}")
    for stream in ("stdout", "stderr"):
        # AddressSanitizer's messages begin with the process id.
        a, b = (re.sub(rb"==\d+==", b"==PID==", getattr(process, stream)) for process in (plain, recorded))
        if a != b:
            problems.append(f"{stream}: plain {a[-2000:]!r}\n  recorded {b[-2000:]!r}")
    return problems


def compare_counts(counted, reported, ahead):
    return [f"{name}: the program counted {counted[name]} calls, the report says {reported[name]}"
            for name in sorted(counted) if not counted[name] <= reported[name] <= counted[name] + ahead]


def check_events(directory, reported, exits, with_arguments):
    """Every entry has its exit, and our own reading of the files agrees with the report."""
    problems = []
    entries = 0
    arguments = 0
    for process in trace_events.process_directories(directory):
        counts = trace_events.read_process(process)
        entered = counts.by_event[trace_events.ENTRY]
        left = counts.by_event[trace_events.EXIT] + counts.by_event[trace_events.UNWOUND]
        entries += sum(entered.values())
        arguments += sum(counts.by_event[trace_events.ARGUMENTS].values())
        for function in entered.keys() | left.keys():
            missing = entered[function] - left[function]
            if exits == "all" and missing != 0 or exits == "fewer" and missing < 0:
                name = recording.function_name(process, function)
                problems.append(f"{process.name}: {name}: {entered[function]} entries, {left[function]} exits")
    if (arguments != 0) != with_arguments:
        problems.append(f"the files have the arguments of {arguments} calls")
    if entries != sum(reported.values()):
        problems.append(f"the files have {entries} entries, the report {sum(reported.values())}")
    return problems


def check(arguments, scratch):
    counts_file = scratch / "calls"
    directory = pathlib.Path(arguments.keep) if arguments.keep else scratch / "recording"
    plain = run(exec_wrapper.started(arguments.program), counts_file)
    options = ["--args"] if arguments.args else []
    recorded = run([arguments.calltap, "record", *options, "-o", str(directory), "--", *arguments.program], counts_file)
    problems = compare_runs(plain, recorded)
    counted = call_counts.read(counts_file)
    if not counted:
        problems.append("the program counted nothing")
    try:
        problems += check_recording(arguments, directory, counted)
    except (RuntimeError, ValueError, OSError) as error:
        problems.append(f"the recording cannot be read: {error}")
    return problems


def check_recording(arguments, directory, counted):
    reported = recording.calls(arguments.calltap, directory)
    problems = compare_counts(counted, reported, arguments.ahead)
    discarded = recording.discarded(arguments.calltap, directory)
    if discarded != 0:
        problems.append(f"{discarded} events were discarded")
    problems += check_events(directory, reported, arguments.exits, arguments.args)
    if arguments.babeltrace:
        other = subprocess.run([arguments.babeltrace, arguments.calltap, str(directory)], capture_output=True,
                               text=True, check=False)
        if other.returncode != 0:
            problems.append(f"babeltrace2 disagrees: {other.stdout}{other.stderr}")
    return problems


def main():
    arguments = parse_arguments()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if arguments.program[:1] == ["--"]:
        del arguments.program[0]
    with tempfile.TemporaryDirectory(prefix="calltap-hazard-") as scratch:
        try:
            problems = check(arguments, pathlib.Path(scratch))
        except subprocess.TimeoutExpired as timeout:
            problems = [f"{' '.join(map(str, timeout.cmd))}: not done in {timeout.timeout} seconds"]
    for problem in problems:
        print(f"FAIL {problem}")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
