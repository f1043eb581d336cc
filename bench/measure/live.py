"""How fast the live views are: two threads write 5 M events a second, a third reads and prints them."""

import re
import subprocess

from .programs import die
from .rounds import rounds

VIEWS = {"none": "the reader alone", "stat": "table of functions", "calls": "calls, a line each", "graph": "graph",
         "json": "JSON lines"}


def look(env, view):
    command = [env.build / "bin" / "live_bench", view, "5000000", "2", "1" if env.quick else "2"]
    done = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=False)
    if done.returncode != 0 or "all accounted for" not in done.stderr:
        die(f"live_bench {view}: {done.stderr}")
    found = re.search(r", ([\d.]+) M/s seen, (\d+) discarded .* (\d+) lines dropped; reader ([\d.]+) ns an event, (\d+) %",
                      done.stderr)
    return dict(zip(("seen", "discarded", "dropped", "ns", "share"), map(float, found.groups())))


def measure(env, table):
    results = rounds(env.rounds, {view: lambda view=view: look(env, view) for view in VIEWS})
    table.section("Live views, of 5 M events a second")
    for view, name in VIEWS.items():
        samples = results[view]
        lost = sum(s["discarded"] + s["dropped"] for s in samples)
        table.add(f"{name}: shown", "M/s", [s["seen"] for s in samples])
        table.add(f"{name}: reading thread, an event", "ns", [s["ns"] for s in samples])
        table.add(f"{name}: share of a CPU", "%", [s["share"] for s in samples],
                  note=f"{lost:.0f} events or lines lost" if lost else "nothing lost")
