"""Ways to write packets to a file, of which the recording tool uses the first."""

import subprocess

from .programs import BENCH
from .rounds import rounds

WAYS = {"write": "a write each", "many": "a write for 16", "reserved": "a write each, blocks reserved",
        "mapped": "copied into a mapping", "direct": "a direct write for 16"}
EVENTS = (64 * 1024 - 80) // 8  # in a packet


def measure(env, table):
    program = env.compile("file_writes", "-O2", BENCH / "file_writes.c")
    megabytes = 256 if env.quick else 512

    def write(way):
        done = subprocess.run([program, way, env.work / "packets", str(megabytes)], check=True, capture_output=True, text=True)
        return [float(ns) for ns in done.stdout.split()]

    results = rounds(env.rounds, {way: lambda way=way: write(way) for way in WAYS})
    table.section("Writing packets of 64 KiB, an event (8 bytes)")
    floor = [cpu / EVENTS for cpu, _ in results["write"]]
    for way, name in WAYS.items():
        table.add(f"{name}: CPU time", "ns", [cpu / EVENTS for cpu, _ in results[way]], floor, "a write each")
        table.add(f"{name}: wall clock", "M/s", [EVENTS / wall * 1000 for _, wall in results[way]])
