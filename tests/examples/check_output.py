#!/usr/bin/env python3
"""Runs an example and compares what it prints with a text file, in which a line "..." stands for one or more lines.

    check_output.py EXPECTED PROGRAM
    check_output.py EXPECTED PROGRAM --calltap TOOL [--calls FUNCTION=COUNT]...

The second form does it under `calltap record`: what the program's own clients see must be the same, and the
recording must have so many calls of each FUNCTION.
"""

import argparse
import csv
import io
import pathlib
import re
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "hazard"))
import exec_wrapper  # noqa: E402


def run(command):
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    if done.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))}: status {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


def compare(printed, expected):
    pattern = "".join("(.+\n)+" if line == "...\n" else re.escape(line) for line in expected.splitlines(True))
    if not re.fullmatch(pattern, printed):
        sys.exit(f"printed:\n{printed}expected:\n{expected}")


def calls_in(calltap, recording):
    rows = csv.DictReader(io.StringIO(run([calltap, "report", recording, "--format", "csv"])))
    return {row["name"]: int(row["calls"]) for row in rows}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("expected", type=pathlib.Path)
    parser.add_argument("program")
    parser.add_argument("--calltap")
    parser.add_argument("--calls", action="append", default=[])
    options = parser.parse_args()
    expected = options.expected.read_text()
    if not options.calltap:
        compare(run(exec_wrapper.started([options.program])), expected)
        return
    with tempfile.TemporaryDirectory() as folder:
        recording = f"{folder}/example.data"
        compare(run([options.calltap, "record", "--max-size", "64M", "-o", recording, "--", options.program]), expected)
        calls = calls_in(options.calltap, recording)
    for function, count in (wanted.rsplit("=", 1) for wanted in options.calls):
        if calls.get(function) != int(count):
            sys.exit(f"the recording has {calls.get(function)} calls of {function}, not {count}: {calls}")


if __name__ == "__main__":
    main()
