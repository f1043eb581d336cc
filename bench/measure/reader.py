"""How fast recordings are read, and in how much memory."""

import json
import os
import shutil
import subprocess
import time

from .programs import record, recording_facts
from .rounds import rounds


def report(env, name):
    """`calltap report` on a recording: seconds of CPU, and the most memory it had."""
    command = [env.calltap, "report", env.recording(name)]
    begin = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.perf_counter() - begin
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise subprocess.CalledProcessError(process.returncode, command)
    return {"wall": wall, "cpu": usage.ru_utime + usage.ru_stime, "rss_kib": usage.ru_maxrss}


def measure(env, table):
    sizes = {"small": 1_000_000, "large": 10_000_000} if env.quick else {"small": 5_000_000, "large": 50_000_000}
    table.section("Reading")
    program = env.work / "micro-gcc-18,16"
    contenders, events = {}, {}
    for size, calls in sizes.items():
        record(env, f"reader-{size}", [program, "leaf", calls])
        events[size] = recording_facts(env, f"reader-{size}")["events"]
        contenders[size] = lambda size=size: report(env, f"reader-{size}")
    if env.recording("sqlite").exists():
        events["sqlite"] = recording_facts(env, "sqlite")["events"]
        contenders["sqlite"] = lambda: report(env, "sqlite")
    results = rounds(env.rounds, contenders)
    if env.billion:
        size = "billion"
        record(env, f"reader-{size}", [program, "leaf", 500_000_000])
        events[size] = recording_facts(env, f"reader-{size}")["events"]
        results[size] = [report(env, f"reader-{size}")]
        shutil.rmtree(env.recording(f"reader-{size}"))
    for size, samples in results.items():
        kind = "SQLite" if size == "sqlite" else "one function"
        name = f"report, {events[size] / 1e6:,.0f} M events of {kind}"
        table.add(f"{name}: speed", "M/s", [events[size] / s["wall"] / 1e6 for s in samples])
        table.add(f"{name}: most memory", "MiB", [s["rss_kib"] / 1024 for s in samples])
    shutil.rmtree(env.recording("reader-large"))
    synthetic(env, table)


def synthetic(env, table):
    """reader_bench: the reader alone, on recordings that are harder than real ones."""
    output = env.work / "reader_bench.json"
    subprocess.run([env.build / "bin" / "reader_bench", f"--benchmark_repetitions={env.rounds}",
                    "--benchmark_enable_random_interleaving=true", f"--benchmark_out={output}",
                    "--benchmark_out_format=json", "--benchmark_min_time=0.2"],
                   check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    speeds = {}
    for run in json.loads(output.read_text())["benchmarks"]:
        if run["run_type"] == "iteration":
            name = f"{run['run_name'].split('/')[0]}, {run['label']}"
            speeds.setdefault(name, []).append(run["items_per_second"] / 1e6)
    for name, samples in speeds.items():
        table.add(name, "M/s", samples)
