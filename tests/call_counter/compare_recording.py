#!/usr/bin/env python3
"""A recording of any program against the trap counter: the same calls of every function of the main program.

    compare_recording.py COUNTER CALLTAP PROGRAM [ARGS...]

The program must do the same in every run. Its standard input is passed on to each run. Prints the number of calls and
functions compared; the status says whether all were equal.
"""
import argparse
import collections
import json
import pathlib
import subprocess
import sys
import tempfile


def patchable_sites(calltap, program):
    listed = subprocess.run([calltap, "list", program, "--format", "json"], capture_output=True, text=True, check=True)
    return [(site["address"], site["function"]) for site in json.loads(listed.stdout) if site["problem"] is None]


def counted_calls(counter, sites, scratch, command, text):
    sites_file, output = scratch / "sites", scratch / "counts"
    sites_file.write_text("".join(f"{address.removeprefix('0x')} {name}\n" for address, name in sites))
    subprocess.run([counter, sites_file, output, *command], input=text, stdout=subprocess.DEVNULL, check=False)
    lines = (line.split(" ", 1) for line in output.read_text().splitlines())
    return collections.Counter({name: int(count) for count, name in lines})


def recorded_calls(calltap, scratch, command, text):
    directory = scratch / "recording"
    subprocess.run([calltap, "record", "-o", directory, "--", *command], input=text, stdout=subprocess.DEVNULL,
                   check=False)
    report = subprocess.run([calltap, "report", directory, "--format", "json"], capture_output=True, text=True, check=True)
    calls = collections.Counter()
    for function in json.loads(report.stdout)["functions"]:
        calls[function["name"]] += function["calls"]
    return calls


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("counter")
    parser.add_argument("calltap")
    parser.add_argument("command", nargs=argparse.REMAINDER)
    arguments = parser.parse_args()
    text = b"" if sys.stdin.isatty() else sys.stdin.buffer.read()
    sites = patchable_sites(arguments.calltap, arguments.command[0])
    with tempfile.TemporaryDirectory(prefix="calltap-compare-") as folder:
        scratch = pathlib.Path(folder)
        counted = counted_calls(arguments.counter, sites, scratch, arguments.command, text)
        recorded = recorded_calls(arguments.calltap, scratch, arguments.command, text)
    differences = [name for name in sorted(set(name for _, name in sites)) if counted[name] != recorded[name]]
    for name in differences:
        print(f"FAIL {name}: {counted[name]} traps, {recorded[name]} recorded calls")
    print(f"{sum(counted.values())} calls of {len(counted)} functions compared, {len(differences)} functions differ")
    return 1 if differences or not counted else 0


if __name__ == "__main__":
    sys.exit(main())
