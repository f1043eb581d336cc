"""Switching all sites of a module on and off, with and without threads that run in it."""

import json
import os
import subprocess

from .programs import BENCH
from .rounds import median

LAYOUTS = {"pad": 1, "mirror": 2, "trap": 3}


def measure(env, table):
    site_counts = (1_000, 10_000) if env.quick else (1_000, 10_000, 100_000)
    cpus = len(os.sched_getaffinity(0))
    table.section(f"Enable and disable ({cpus} CPUs: with more threads the wall clock includes waiting for one)")
    for sites in site_counts:
        for method, layout in LAYOUTS.items():
            module = env.compile(f"toggle-{method}-{sites}.so", "-shared", "-nostdlib", f"-DSITES={sites}",
                                 f"-DLAYOUT={layout}", BENCH / "toggle_module.S")
            for threads in (0, 1, 8):
                one(env, table, module, sites, threads)


def one(env, table, module, sites, threads):
    done = subprocess.run([env.build / "bin" / "toggle_bench", module, str(sites), str(threads), str(env.rounds)],
                          check=True, capture_output=True, text=True)
    result = json.loads(done.stdout)
    name = f"{sites:,} sites, {result['method']}, {threads} thread{'s' if threads != 1 else ''}"
    if threads == 0:
        table.add(f"{name}: prepare, once", "ms", [result["prepare_wall_ms"]])
        table.add(f"{name}: memory a site (256 are its text)", "bytes", [result["anonymous_kib"] * 1024 / sites])
    for verb in ("enable", "disable"):
        note = f"CPU time {median(result[f'{verb}_cpu_ms']):.2f}"
        table.add(f"{name}: {verb}", "ms", result[f"{verb}_wall_ms"], note=note)
    if threads > 0:
        # What a thread waits for a CPU is the scheduler's; that is in the JSON of toggle_bench too.
        table.add(f"{name}: longest pause of a thread", "ms", result["pause_ms"], result["pause_without_ms"],
                  "without switching", note=f"{median(result['pause_with_waiting_ms']):.1f} with waiting for a CPU")
