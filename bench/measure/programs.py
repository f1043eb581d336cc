"""Compiling and running the measured programs."""

import json
import os
import pathlib
import resource
import shutil
import subprocess
import sys
import time

BENCH = pathlib.Path(__file__).resolve().parent.parent
ROOT = BENCH.parent
PAD = "-fpatchable-function-entry=18,16"
NOPS = "-fpatchable-function-entry=5"


def die(message):
    sys.exit(f"bench/run: {message}")


class Environment:
    """Where things are, and how thorough to be."""

    def __init__(self, build, quick):
        self.build = build.resolve()
        self.work = self.build / "bench" / "programs"
        self.work.mkdir(parents=True, exist_ok=True)
        self.quick = quick
        self.billion = False
        self.rounds = 3 if quick else 7
        self.calltap = self.build / "bin" / "calltap"
        self.bare_hook = self.build / "lib" / "libcalltap-bare-hook.so"
        self.cpu = max(os.sched_getaffinity(0))
        if shutil.which("gcc") is None:
            die("gcc is missing")

    def compile(self, output, *arguments, compiler="gcc"):
        path = self.work / output
        subprocess.run([compiler, *map(str, arguments), "-o", path], check=True)
        return path

    def recording(self, name):
        return self.work / f"{name}.data"


def text_bytes(program):
    """Size of the section .text."""
    sizes = subprocess.run(["size", "-A", program], check=True, capture_output=True, text=True).stdout
    return next(int(line.split()[1]) for line in sizes.splitlines() if line.startswith(".text "))


def run(env, command, stdin=None, preload=None, pinned=True):
    """Runs a measured program (linked with run_cost.c). Its output, and what it and everything around it cost."""
    cost_file = env.work / "cost"
    cost_file.unlink(missing_ok=True)
    variables = dict(os.environ, BENCH_COST=str(cost_file))
    if pinned:
        variables["BENCH_CPU"] = str(env.cpu)
    if preload is not None:
        variables["LD_PRELOAD"] = str(preload)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    begin = time.perf_counter_ns()
    with open(stdin or os.devnull, "rb") as source:
        done = subprocess.run(list(map(str, command)), stdin=source, capture_output=True, env=variables, check=False)
    wall = time.perf_counter_ns() - begin
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode != 0:
        die(f"{command[0]} failed: {done.stderr.decode(errors='replace')}")
    cost = json.loads(cost_file.read_text())
    total = (after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime) * 1e9
    cost.update(output=done.stdout, around_wall_ns=wall, all_cpu_ns=total)
    return cost


def record(env, name, command, stdin=None, options=(), pinned=True):
    """The same under `calltap record`."""
    directory = env.recording(name)
    shutil.rmtree(directory, ignore_errors=True)
    cost = run(env, [env.calltap, "record", "-o", directory, *options, "--", *command], stdin, pinned=pinned)
    cost["tool_cpu_ns"] = cost["all_cpu_ns"] - cost["cpu_ns"]
    return cost


def recording_facts(env, name):
    """Events, events discarded, bytes and patched sites of a recording."""
    directory = env.recording(name)
    info = json.loads(subprocess.run([env.calltap, "info", "--format", "json", directory], check=True,
                                     capture_output=True, text=True).stdout)
    processes = info["processes"]
    return {
        "events": info["events"],
        "discarded": info["discarded_events"],
        "bytes": sum(t["bytes"] for p in processes for t in p["threads"]),
        "patched": sum(m["patched"] for p in processes for m in p["modules"]),
    }
