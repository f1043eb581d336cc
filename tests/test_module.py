"""What the run_test.py of a folder does: it lists or runs the test functions of a module beside it.

    run_test.py [OPTIONS] MODULE [TEST]       without TEST: the names of the module's tests

Status 77: the machine cannot run this test, for the reason that is printed.
"""
import argparse
import importlib
import resource
import subprocess
import sys
import tempfile

SKIPPED = 77


def why_no_tracing():
    """The reason why this machine does not let a process look into another one, or None."""
    child = subprocess.Popen(["sleep", "60"])
    try:
        open(f"/proc/{child.pid}/mem", "rb").close()
        return None
    except OSError as error:
        return f"tracing is not allowed here: {error}"
    finally:
        child.kill()
        child.wait()


def main(options, make_fixture, why_not=lambda: None):
    """`options`: names of those that the tests need. A test gets make_fixture(arguments, scratch folder); it returns why it could not
    be done, if it could not."""
    parser = argparse.ArgumentParser()
    for option in options:
        parser.add_argument(option)
    parser.add_argument("module")
    parser.add_argument("test", nargs="?")
    arguments = parser.parse_args()
    module = importlib.import_module(arguments.module)
    if arguments.test is None:
        print(";".join(name.removeprefix("test_") for name in vars(module) if name.startswith("test_")), end="")
        return 0
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    reason = why_not()
    with tempfile.TemporaryDirectory(prefix="calltap-test-") as folder:
        try:
            reason = reason or getattr(module, f"test_{arguments.test}")(make_fixture(arguments, folder))
        except AssertionError as failure:
            print(f"FAIL {failure}")
            return 1
    if reason:
        print(f"skipped: {reason}")
        return SKIPPED
    return 0


if __name__ == "__main__":
    sys.exit(__doc__)
