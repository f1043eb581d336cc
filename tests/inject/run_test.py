#!/usr/bin/env python3
"""Runs one test function of a module in this folder; see ../test_module.py."""
import pathlib
import sys

sys.path.append(str(pathlib.Path(__file__).resolve().parent.parent))
import process
import test_module


def fixture(arguments, folder):
    return process.Injection(arguments.programs, folder)


sys.exit(test_module.main(["--programs"], fixture, test_module.why_no_tracing))
