#!/usr/bin/env python3
"""Runs one test function of a module in this folder: run_test.py --calltap TOOL --targets FOLDER --entry N,M MODULE TEST.

Without TEST it lists the module's tests. Status 77: the machine cannot run this test.
"""
import argparse
import importlib
import resource
import sys
import tempfile

import session

SKIPPED = 77


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calltap")
    parser.add_argument("--targets")
    parser.add_argument("--entry", help="the numbers of -fpatchable-function-entry that suit this architecture")
    parser.add_argument("module")
    parser.add_argument("test", nargs="?")
    arguments = parser.parse_args()
    module = importlib.import_module(arguments.module)
    if arguments.test is None:
        print(";".join(name.removeprefix("test_") for name in vars(module) if name.startswith("test_")), end="")
        return 0
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with tempfile.TemporaryDirectory(prefix="calltap-cli-") as folder:
        try:
            reason = getattr(module, f"test_{arguments.test}")(
                session.Session(arguments.calltap, arguments.targets, folder, arguments.entry))
        except AssertionError as failure:
            print(f"FAIL {failure}")
            return 1
    if reason:
        print(f"skipped: {reason}")
        return SKIPPED
    return 0


if __name__ == "__main__":
    sys.exit(main())
