"""Functions of a program by name, and where they are in its file."""

import json
import re
import subprocess

# Start-up code of the C library's, which no flag of ours instruments.
NOT_OURS = re.compile(r"_start|_init|_fini|__.*|_GLOBAL_.*|.*register_tm_clones|frame_dummy")


def segments(program):
    """(address, size, file offset) of what is loaded."""
    lines = subprocess.run(["readelf", "-lW", program], check=True, capture_output=True, text=True).stdout.splitlines()
    fields = (line.split() for line in lines if line.strip().startswith("LOAD"))
    return [(int(f[2], 16), int(f[4], 16), int(f[1], 16)) for f in fields]


def function_offsets(program, wanted, limit):
    """File offsets of the `limit` first of `wanted` (names, demangled without parameters), then of others."""
    loaded = segments(program)
    lines = subprocess.run(["nm", "-C", "--defined-only", program], check=True, capture_output=True,
                           text=True).stdout.splitlines()
    offsets = {}
    for line in lines:
        address, kind, name = line.split(" ", 2)
        if kind not in "tTwW" or NOT_OURS.fullmatch(name):
            continue
        value = int(address, 16)
        for start, size, offset in loaded:
            if start <= value < start + size:
                offsets.setdefault(name.split("(")[0], value - start + offset)
    first = [name for name in wanted if name in offsets]
    others = [name for name in offsets if name not in set(first)]
    return list(dict.fromkeys(offsets[name] for name in [*first, *others][:limit]))


def most_called(calltap, recording):
    """Names of functions, those called most often first."""
    done = subprocess.run([calltap, "report", "--sort", "calls", "--limit", "200", "--format", "json", recording],
                          check=True, capture_output=True, text=True)
    return [row["name"].split("(")[0] for row in json.loads(done.stdout)["functions"]]
