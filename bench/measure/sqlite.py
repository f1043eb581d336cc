"""A real program: SQLite's shell with the workload in workloads/sqlite, every function hooked."""

import os
import shutil
import subprocess

from .programs import BENCH, NOPS, PAD, ROOT, die, record, recording_facts, run, text_bytes
from .rounds import median, rounds

# "moved": the same code at other addresses, which alone makes a difference. What is smaller is no cost.
LAYOUTS = {"plain": ("no sleds", []), "moved": ("no sleds, functions at multiples of 64", ["-falign-functions=64"]),
           "18,16": ("=18,16 off", [PAD]), "5": ("=5 off", [NOPS])}
WORKLOAD = BENCH / "workloads" / "sqlite"
MILLION = 1e6


def build(env, only=None):
    """All compilers and layouts, or only some."""
    source = ROOT / "build" / "sqlite"
    subprocess.run([WORKLOAD / "fetch.sh", source], check=True, stdout=subprocess.DEVNULL)
    programs = {}
    for compiler in ["gcc"] + (["clang"] if shutil.which("clang") else []):
        for name, (_, flags) in LAYOUTS.items():
            if only is not None and (compiler, name) not in only:
                continue
            programs[compiler, name] = env.work / f"sqlite-{compiler}-{name}"
            subprocess.run([WORKLOAD / "build.sh", source, programs[compiler, name], *flags, BENCH / "run_cost.c"],
                           check=True, env=dict(os.environ, CC=compiler))
    return programs


def statement_files():
    return [WORKLOAD / "load.sql", *sorted((WORKLOAD / "statements").glob("*.sql"))]


def statements(env):
    sql = env.work / "workload.sql"
    sql.write_text("".join(f.read_text() for f in statement_files()))
    return sql


def measure(env, table):
    programs = build(env)
    sql = statements(env)
    contenders = {("off", *key): lambda p=program: run(env, [p], sql) for key, program in programs.items()}
    hooked = programs["gcc", "18,16"]
    clock = [env.work / "micro-gcc-plain", "clock", 2_000_000]
    contenders["clock",] = lambda: float(run(env, clock)["output"].split()[1])
    contenders["bare", "18,16"] = lambda: run(env, [hooked], sql, env.bare_hook)
    contenders["bare", "5"] = lambda: run(env, [programs["gcc", "5"]], sql, env.bare_hook)
    contenders["recorded",] = lambda: record(env, "sqlite", [hooked], sql)
    results = rounds(env.rounds, contenders)

    costs = [c for key, samples in results.items() if key != ("clock",) for c in samples]
    if len({c["output"] for c in costs}) != 1:
        die("SQLite printed different results")
    facts = recording_facts(env, "sqlite")
    if facts["discarded"] != 0:
        die(f"{facts['discarded']} events were discarded")
    add_rows(table, programs, results, facts)
    add_memory(table, results, facts)


def add_rows(table, programs, results, facts):
    calls = facts["events"] / 2
    cpu = {key: [c["cpu_ns"] / MILLION for c in samples] for key, samples in results.items() if key != ("clock",)}
    table.section("SQLite workload (CPU time of the process, from its first to its last instruction)")
    for compiler, layout in programs:
        base = None if layout == "plain" else cpu["off", compiler, "plain"]
        table.add(f"{compiler}, {LAYOUTS[layout][0]}", "ms", cpu["off", compiler, layout], base, "no sleds")
    for compiler, layout in programs:
        if layout in ("18,16", "5"):
            size, plain = (text_bytes(programs[compiler, which]) for which in (layout, "plain"))
            table.add(f".text, {compiler}, ={layout}", "bytes", [size], plain, "no sleds")
    table.add("calls", "million", [calls / MILLION])
    two_clocks = [2 * c for c in results["clock",]]
    for layout in ("18,16", "5"):
        base = cpu["off", "gcc", layout]
        table.add(f"hooked without the clock, ={layout}", "ms", cpu["bare", layout], base, "off")
        table.add(f"hooked without the clock, ={layout}: added a call", "ns", added(cpu["bare", layout], base, calls))
    base = cpu["off", "gcc", "18,16"]
    table.add("recorded", "ms", cpu["recorded",], base, "off")
    per_call = added(cpu["recorded",], base, calls)
    table.add("recorded: added a call", "ns", per_call, two_clocks, "two clocks")
    table.add("recorded: added a call, without two clock reads", "ns", [p - c for p, c in zip(per_call, two_clocks)])
    recorded = results["recorded",]
    table.add("recorded: wall clock", "ms", [c["wall_ns"] / MILLION for c in recorded],
              [c["wall_ns"] / MILLION for c in results["off", "gcc", "18,16"]], "off")
    table.add("recorded: the tool's CPU time", "ms", [c["tool_cpu_ns"] / MILLION for c in recorded])
    table.add("recorded: bytes an event", "bytes", [facts["bytes"] / facts["events"]])
    table.add("recorded: events discarded", "", [facts["discarded"]])


def added(samples, base, calls):
    return [(s - b) * MILLION / calls for s, b in zip(samples, base)]


def add_memory(table, results, facts):
    table.section("Memory of the target at its end (SQLite)")
    off, recorded = results["off", "gcc", "18,16"], results["recorded",]
    for kind, name in (("anonymous_kib", "anonymous"), ("file_kib", "file pages"), ("shared_kib", "shared (buffers)")):
        table.add(f"off: {name}", "KiB", [c[kind] for c in off])
        table.add(f"recorded: {name}", "KiB", [c[kind] for c in recorded])
    more = median([c["anonymous_kib"] for c in recorded]) - median([c["anonymous_kib"] for c in off])
    table.add("recorded: more anonymous memory, a patched site", "bytes", [more * 1024 / facts["patched"]],
              note=f"{facts['patched']} sites, with the text pages that were written")
