#!/usr/bin/env python3
"""gdb sees through hooked frames: stopped in a leaf, its backtrace shows every caller up to main."""
import argparse
import pathlib
import re
import subprocess
import sys
import tempfile

EXPECTED = ["leaf", *["recurse"] * 6, "first", "main"]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calltap", required=True)
    parser.add_argument("program")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="calltap-hazard-") as scratch:
        # gdb puts the breakpoint behind the prologue, so not on the site.
        commands = ["set breakpoint pending on", "set debuginfod enabled off", "set follow-fork-mode child",
                    "break print_trace", "run", "backtrace", "kill"]
        debugger = ["gdb", "-nx", "-q", "-batch", *(word for command in commands for word in ("-ex", command))]
        command = [*debugger, "--args", arguments.calltap, "record", "-o", str(pathlib.Path(scratch) / "recording"),
                   "--", arguments.program]
        process = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=90,
                                 check=False)
    frames = re.findall(r"^#\d+ +(?:0x[0-9a-f]+ in )?([\w.:]+)", process.stdout, re.MULTILINE)
    own = [frame for frame in frames if frame in EXPECTED]
    hooked = [frame for frame in frames if "calltap" in frame]
    if own != EXPECTED or not hooked or "corrupt" in process.stdout or "previous frame" in process.stdout:
        print(f"FAIL frames {frames}\n{process.stdout}{process.stderr}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
