#!/usr/bin/env python3
"""Runs one test function of a module in this folder; see ../test_module.py."""
import pathlib
import sys

sys.path.append(str(pathlib.Path(__file__).resolve().parent.parent))
import session
import test_module


def fixture(arguments, folder):
    return session.Session(arguments.calltap, arguments.targets, folder, arguments.entry)


sys.exit(test_module.main(["--calltap", "--targets", "--entry"], fixture))
