"""What `calltap record --budget` makes of a budget: the slowdown that is measured, against the one that was asked for."""

import json
import subprocess

from . import sqlite
from .programs import BENCH, PAD, die, record, run
from .rounds import rounds

SHARES = (2, 5, 20)
MILLION = 1e6


def programs(env):
    """Each runs for some seconds by itself."""
    sqlite_program = sqlite.build(env, [("gcc", "18,16")])["gcc", "18,16"]
    load, *statements = sqlite.statement_files()
    repeated = env.work / "workload-repeated.sql"
    # Nothing that changes the tables: every round is alike.
    reads = "".join(f.read_text() for f in statements if f.stem != "update")
    repeated.write_text(load.read_text() + reads * (4 if env.quick else 16))
    server = env.compile("requests-18,16", "-O2", "-w", PAD, "-pthread", BENCH / "workloads" / "requests.c",
                         BENCH / "run_cost.c")
    requests = 3_000_000 if env.quick else 12_000_000
    return {"SQLite": ([sqlite_program], repeated, True), "server, 2 + 2 threads": ([server, requests], None, False)}


def turned_off(env, name):
    info = json.loads(subprocess.run([env.calltap, "info", "--format", "json", env.recording(name)], check=True,
                                     capture_output=True, text=True).stdout)
    budget = info["processes"][0]["budget"]
    return {"off": len(budget["turned_off"]), "estimate": budget["overhead_ns"] / max(budget["own_cpu_ns"], 1),
            "events": info["events"], "call_cost_ns": budget["call_cost_ns"]}


def measure(env, table):
    for title, (command, stdin, pinned) in programs(env).items():
        def recorded(share, command=command, stdin=stdin, pinned=pinned):
            cost = record(env, "budget", command, stdin, options=["--budget", f"{share}%"], pinned=pinned)
            cost.update(turned_off(env, "budget"))
            return cost
        contenders = {"plain": lambda c=command, s=stdin, p=pinned: run(env, c, s, pinned=p)}
        contenders.update({share: lambda s=share: recorded(s) for share in SHARES})
        results = rounds(env.rounds, contenders)
        if len({c["output"] for samples in results.values() for c in samples}) != 1:
            die(f"{title} printed different results")
        add_rows(table, title, results)


def add_rows(table, title, results):
    table.section(f"Overhead budgets: {title} (CPU time of the process, from its first to its last instruction)")
    plain = [c["cpu_ns"] for c in results["plain"]]
    table.add("not recorded", "ms", [ns / MILLION for ns in plain])
    for share in SHARES:
        samples = results[share]
        # Round by round: the pairs ran next to each other.
        slowdown = [100 * (c["cpu_ns"] / ns - 1) for c, ns in zip(samples, plain)]
        table.add(f"budget {share} %: measured slowdown", "%", slowdown, share, "budget")
        table.add(f"budget {share} %: as calltap reckons", "%", [100 * c["estimate"] for c in samples])
        table.add(f"budget {share} %: functions turned off", "", [c["off"] for c in samples])
        table.add(f"budget {share} %: events", "million", [c["events"] / MILLION for c in samples])
    table.add("cost of a recorded call, as measured at the start", "ns",
              [c["call_cost_ns"] for share in SHARES for c in results[share]])
