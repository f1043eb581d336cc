#!/usr/bin/env python3
"""The tool gets no processor time while the program loads a module, calls it and ends: the module's calls are there."""
import argparse
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time

import call_counts
import recorded_process
import recording


def wait_for_end(pid):
    """Until the process is a zombie: its parent, the tool, is stopped."""
    for _ in range(recorded_process.PATIENCE_SECONDS * 100):
        if pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z":
            return
        time.sleep(0.01)
    raise RuntimeError("the program did not end")


def check(arguments, scratch):
    counts_file = scratch / "calls"
    directory = scratch / "recording"
    call_counts.create(counts_file)
    environment = dict(os.environ, CALLS_FILE=str(counts_file))
    command = [arguments.calltap, "record", "-o", str(directory), "--", arguments.program]
    with subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as tool:
        target = recorded_process.wait_for_target(tool.pid, pathlib.Path(arguments.program).name)
        if tool.stdout.readline() != "ready\n":
            raise RuntimeError("the program did not start")
        os.kill(tool.pid, signal.SIGSTOP)
        try:
            print(file=tool.stdin, flush=True)
            wait_for_end(target)
        finally:
            os.kill(tool.pid, signal.SIGCONT)
    problems = [] if tool.returncode == 0 else [f"status {tool.returncode}"]
    reported = recording.calls(arguments.calltap, directory)
    for name, count in call_counts.read(counts_file).items():
        if reported[name] != count:
            problems.append(f"{name}: counted {count}, reported {reported[name]}")
    return problems


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calltap", required=True)
    parser.add_argument("program")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="calltap-hazard-") as scratch:
        problems = check(arguments, pathlib.Path(scratch))
    for problem in problems:
        print(f"FAIL {problem}")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
