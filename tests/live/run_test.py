#!/usr/bin/env python3
"""Runs one test function of a module in this folder: run_test.py --calltap TOOL --programs FOLDER MODULE TEST.

Without TEST it lists the module's tests. Status 77: the machine cannot run this test.
"""
import argparse
import importlib
import resource
import subprocess
import sys
import tempfile

import process

SKIPPED = 77


def why_no_tracing():
    child = subprocess.Popen(["sleep", "60"])
    try:
        open(f"/proc/{child.pid}/mem", "rb").close()
        return None
    except OSError as error:
        return f"tracing is not allowed here: {error}"
    finally:
        child.kill()
        child.wait()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calltap")
    parser.add_argument("--programs")
    parser.add_argument("module")
    parser.add_argument("test", nargs="?")
    arguments = parser.parse_args()
    module = importlib.import_module(arguments.module)
    if arguments.test is None:
        print(";".join(name.removeprefix("test_") for name in vars(module) if name.startswith("test_")), end="")
        return 0
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    reason = why_no_tracing()
    with tempfile.TemporaryDirectory(prefix="calltap-live-") as folder:
        try:
            reason = reason or getattr(module, f"test_{arguments.test}")(process.Live(arguments.calltap, arguments.programs, folder))
        except AssertionError as failure:
            print(f"FAIL {failure}")
            return 1
    if reason:
        print(f"skipped: {reason}")
        return SKIPPED
    return 0


if __name__ == "__main__":
    sys.exit(main())
