#!/usr/bin/env python3
"""The call counter against a program that counts its own calls."""
import argparse
import os
import pathlib
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "hazard"))
import call_counts  # noqa: E402


def entries(program, wanted):
    """(address, plain name) of the program's functions of these names."""
    symbols = subprocess.run(["nm", "-C", "--defined-only", program], capture_output=True, text=True, check=True).stdout
    for line in symbols.splitlines():
        address, kind, name = line.split(maxsplit=2)
        # ".cold" parts and the like are no functions of their own.
        if kind in "tTwW" and call_counts.plain_name(name) in wanted and ".cold" not in name:
            yield int(address, 16), call_counts.plain_name(name)


def counts_of(output):
    return {name: int(count) for count, name in (line.split(" ", 1) for line in output.read_text().splitlines())}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("counter")
    parser.add_argument("program")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="calltap-counter-") as scratch:
        calls, sites, output = (pathlib.Path(scratch) / name for name in ("calls", "sites", "output"))
        environment = dict(os.environ, CALLS_FILE=str(calls))
        call_counts.create(calls)
        plain = subprocess.run([arguments.program], env=environment, capture_output=True, check=False)
        found = dict(entries(arguments.program, call_counts.read(calls)))
        sites.write_text("".join(f"{address:x} {name}\n" for address, name in found.items()))
        call_counts.create(calls)
        traced = subprocess.run([arguments.counter, sites, output, arguments.program], env=environment,
                                capture_output=True, check=False)
        truth = call_counts.read(calls)
        counted = counts_of(output)
    problems = []
    if (plain.stdout, plain.returncode) != (traced.stdout, traced.returncode):
        problems.append(f"plain {plain.returncode}, traced {traced.returncode}: {traced.stderr}")
    if len(set(found.values())) < 3:
        problems.append(f"only {sorted(found.values())} were found in the program")
    for name in sorted(set(found.values())):
        if counted.get(name) != truth[name]:
            problems.append(f"{name}: the program counted {truth[name]}, the traps {counted.get(name)}")
    for problem in problems:
        print(f"FAIL {problem}")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
