"""Micro loops: the floors, what a sled costs when it is off, what a hook costs, what recording costs."""

import shutil

from .programs import BENCH, NOPS, PAD, die, record, recording_facts, run
from .rounds import differences, rounds

# Two compilers' own ideas of unrolling recursion would make the same source different programs.
FLAGS = ["-O2", "-fno-optimize-sibling-calls", BENCH / "micro.c", BENCH / "run_cost.c"]


def per_call(cost):
    """CPU nanoseconds: what a busy machine does to the wall clock is not the program's."""
    return float(cost["output"].split()[1])


def build(env):
    compilers = ["gcc"] + (["clang"] if shutil.which("clang") else [])
    layouts = {"plain": [], "18,16": [PAD], "5": [NOPS]}
    return {(c, name): env.compile(f"micro-{c}-{name}", *flags, *FLAGS, compiler=c)
            for c in compilers for name, flags in layouts.items()}


def measure(env, table):
    programs = build(env)
    count = 2_000_000 if env.quick else 20_000_000
    recorded_count = count // 5

    def runs(program, what, preload=None):
        return lambda: per_call(run(env, [program, what, count], preload=preload))

    plain = programs["gcc", "plain"]
    hooked = programs["gcc", "18,16"]
    contenders = {("call",): runs(plain, "call"), ("clock",): runs(plain, "clock")}
    for what in ("leaf", "fib"):
        for (compiler, layout), program in programs.items():
            contenders[what, "off", compiler, layout] = runs(program, what)
        for layout in ("18,16", "5"):
            contenders[what, "bare", layout] = runs(programs["gcc", layout], what, env.bare_hook)
        contenders[what, "off", "two threads"] = lambda what=what: per_call(
            run(env, [hooked, what, count, 2]))
        contenders[what, "recorded", "two threads"] = lambda what=what: per_call(
            record(env, f"micro-{what}-2", [hooked, what, recorded_count, 2]))
        contenders[what, "recorded"] = lambda what=what: per_call(
            record(env, f"micro-{what}", [hooked, what, recorded_count]))
    results = rounds(env.rounds, contenders)

    table.section("Micro loops (CPU time of the thread, per call)")
    call, clock = results["call",], results["clock",]
    table.add("floor: a direct call and its return", "ns", call)
    table.add("floor: one clock read (rdtsc)", "ns", clock)
    two_clocks = [2 * c for c in clock]
    for what in ("leaf", "fib"):
        for compiler, layout in programs:
            base = results[what, "off", compiler, "plain"]
            name = f"{what}, {compiler}, " + ("no sled" if layout == "plain" else f"={layout} off")
            table.add(name, "ns", results[what, "off", compiler, layout], *(
                () if layout == "plain" else (base, "no sled")))
        base = results[what, "off", "gcc", "18,16"]
        for layout in ("18,16", "5"):
            added = differences(results[what, "bare", layout], results[what, "off", "gcc", layout])
            table.add(f"{what}, hooked without the clock, ={layout}: added", "ns", added, call, "call")
        added = differences(results[what, "recorded"], base)
        table.add(f"{what}, recorded: added", "ns", added, two_clocks, "two clocks")
        over = differences(added, two_clocks)
        table.add(f"{what}, recorded: added, without two clock reads", "ns", over, call, "call")
        share = [100 * c / a for c, a in zip(two_clocks, added)]
        table.add(f"{what}, recorded: share of the two clock reads", "%", share)
        for recording in f"micro-{what}", f"micro-{what}-2":
            facts = recording_facts(env, recording)
            if facts["discarded"] != 0:
                die(f"{facts['discarded']} events were discarded")
        for state, one in ("off", ("off", "gcc", "18,16")), ("recorded", ("recorded",)):
            rates = [2 * a / b for a, b in zip(results[(what, *one)], results[what, state, "two threads"])]
            table.add(f"{what}, {state}: calls of two threads, of a thread's CPU time", "times one", rates)
