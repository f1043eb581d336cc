"""What clients cost: a call of a function that has them, and attaching them."""

import json
import subprocess

from .programs import BENCH
from .rounds import differences, median


def bench(env, what, rounds, *arguments):
    """All samples of one part of ops_bench, by name."""
    done = subprocess.run([env.build / "bin" / "ops_bench", what, str(rounds), *map(str, arguments)],
                          check=True, capture_output=True, text=True)
    return json.loads(done.stdout)


def measure(env, table):
    # Samples of a millisecond or two, many of them: the machine's bad moments hit a few of each contender.
    rounds, count = (9, 100_000) if env.quick else (51, 300_000)
    calls(env, table, rounds, count)
    lists(env, table, rounds // 3, count // 3)
    threads(env, table, rounds, count)
    sites(env, table)


def calls(env, table, rounds, count):
    results = bench(env, "calls", rounds, count)
    table.section("Clients of a function: added to a call of the same function, off (CPU time of the thread, per call)")
    # Not to the plain call: that is of another function, and where a function lies alone makes 0.8 ns. What a sled
    # that is off costs is for `micro` to say, and is nothing.
    off = results.pop("off")
    table.add("floor: a plain call", "ns", results.pop("plain"))
    table.add("floor: a call of a site that is off", "ns", off)
    pair = differences(results.pop("plain, a call and return more"), off)
    table.add("floor: one more call and return: added", "ns", pair)
    far = differences(results.pop("plain, a call into the library more"), off)
    table.add("floor: one more call into libcalltap.so and return: added", "ns", far, pair, "call")
    for name, samples in results.items():
        table.add(f"{name}: added", "ns", differences(samples, off), pair, "call")


def lists(env, table, rounds, count):
    """Rows are named KIND RELEVANT of ALL."""
    results = bench(env, "lists", rounds, count)
    table.section("Many clients, general registers only: relevant ones of all that are registered (per call)")
    alone = {}  # by kind and number of relevant ones: without irrelevant ones
    empty = None
    for name, samples in results.items():
        kind, relevant, _, registered = name.split()
        if relevant == registered:
            alone[kind, relevant] = samples
            empty = empty or samples
        base = alone[kind, relevant]
        note = None
        if int(relevant) > 0 and relevant == registered:
            note = f"{(median(samples) - median(empty)) / int(relevant):.2f} a client"
        table.add(name, "ns", samples, *(() if relevant == registered else (base, "without the others")), note=note)


def threads(env, table, rounds, count):
    results = bench(env, "threads", rounds, count)
    table.section("Two threads that call the same function (CPU time a call of each)")
    for name, samples in results.items():
        contender, number = name.split(": ")
        floor = () if number == "one thread" else (results[f"{contender}: one thread"], "one thread")
        table.add(name, "ns", samples, *floor)


def sites(env, table):
    counts = (1_000, 10_000) if env.quick else (1_000, 100_000)
    modules = [env.compile(f"toggle-pad-{count}.so", "-shared", "-nostdlib", f"-DSITES={count}", "-DLAYOUT=1",
                           BENCH / "toggle_module.S") for count in counts]
    results = bench(env, "sites", env.rounds, *modules)
    table.section(f"Register and unregister, in a program with {sum(counts):,} functions")
    for name, samples in results.items():
        if not name.endswith((": CPU", ": sites")):
            table.add(name, "us", samples, note=f"CPU time {median(results[name + ': CPU']):,.0f}")
