"""The tables, as Markdown: printed, and put between the marks of docs/peers.md."""

import re

from . import behind, figures, pictures
from .figures import CALLING, OURS
from measure.rounds import median, number

GROUPS = {
    "off": "Off",
    "hooked": "Hooked, nothing written",
    "counted": "Counted",
    "recorded": "Recorded",
}
MARK = re.compile(r"(<!-- peers: ([a-z-]+) -->\n).*?(<!-- end -->)", re.S)


def cell(samples, digits=number):
    """Median, and smallest to largest."""
    if not samples:
        return ""
    if len(samples) == 1:
        return digits(samples[0])
    return f"{digits(median(samples))} ({digits(min(samples))} .. {digits(max(samples))})"


def short(samples):
    return cell(samples, lambda value: f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}")


def table(heads, rows):
    lines = ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
    return "\n".join([*lines, *("| " + " | ".join(map(str, row)) + " |" for row in rows)])


def name_cell(results, name):
    text = figures.title(results, name)
    return f"**{text}**" if figures.is_ours(results, name) else text


def workload_titles(results, names):
    return [results["workloads"][name]["title"] for name in names]


def present(results, names):
    return [name for name in names if results["workloads"].get(name, {}).get("contenders")]


def by_workload(results, groups, values):
    """A row for each contender, a column for each workload."""
    columns = present(results, CALLING)
    rows = []
    for group in groups:
        names = figures.in_group(results, group)
        cells = {name: [short(values(results, workload, name)) for workload in columns] for name in names}
        filled = [name for name in names if any(cells[name])]
        if filled:
            rows.append([f"*{GROUPS[group]}*", *[""] * len(columns)])
        rows += [[name_cell(results, name), *(text or "none" for text in cells[name])] for name in filled]
    return table(["", *workload_titles(results, columns)], rows)


# ---- sections

def machine(results):
    about = results["machine"]
    versions = ", ".join(f"{name} {version}" for name, version in about["versions"].items() if version)
    before, after = results["load_before"], results["load_after"]
    text = (f"{about['cpu']}, {about['cpus']} CPUs{', in a virtual machine' if about['virtual'] else ''}, Linux "
            f"{about['kernel']}; {versions}. {results['rounds']} rounds"
            f"{', of the smaller work of `--quick`' if results['quick'] else ''}; "
            f"{results['seconds']['measuring'] / 60:.0f} minutes. ")
    if max(before, after) >= 1.5:
        text += (f"**The machine had other work too** (load {before:.1f} before, {after:.1f} after, of which the comparison "
                 f"itself is 1 to 2): figures are CPU time where they can be, and what was run alone would be steadier.")
    else:
        text += f"Nothing else ran (load {before:.1f} before, {after:.1f} after)."
    return text


def calls_table(results):
    return by_workload(results, ("hooked", "counted", "recorded"), figures.added)


def slowdown_table(results):
    return by_workload(results, ("off", "hooked", "counted", "recorded"), figures.slowdown)


def ratio_table(results):
    """Times as much as Calltap takes for the same."""
    columns = present(results, CALLING)
    rows = []
    for group in ("hooked", "counted", "recorded"):
        def values(workload):
            return lambda name: figures.added(results, workload, name)
        cells = []
        for workload in columns:
            best = figures.best_peer(results, figures.in_group(results, group), values(workload))
            mine = values(workload)(OURS[group])
            if best is None or not mine:
                cells.append("none")
                continue
            ratio = median(values(workload)(best)) / median(mine)
            cells.append(f"{ratio:.2f} ({figures.title(results, best)})")
        rows.append([GROUPS[group], *cells])
    return table(["", *workload_titles(results, columns)], rows)


def recordings_table(results):
    rows = []
    for name in figures.in_group(results, "recorded"):
        entry = figures.entry(results, figures.READ, name)
        if not entry:
            continue
        lost = figures.lost(results, figures.READ, name)
        limit = entry.get("functions_limit")
        speed = cell(figures.report_speed(results, name)) or entry.get("report_missing", "no tool of its own")
        rows.append([name_cell(results, name) + (f" ({limit} functions)" if limit else ""),
                     cell(figures.bytes_an_event(results, figures.READ, name)), "not told" if lost is None else f"{lost:,}",
                     cell(figures.wall(results, figures.READ, name)), cell(figures.memory(results, figures.READ, name)),
                     speed])
    return table(["", "bytes an event", "events lost", "wall clock, times plain", "memory of the program, MiB more",
                  "read by its own tool, M events/s"], rows)


def switching_table(results):
    rows = []
    for name, found in results.get("switching", {}).items():
        times = figures.switching(results, name)
        missing = found.get("missing", "")
        rows.append([name_cell(results, name), cell(times.get("first", [])) or missing, cell(times.get("enable", [])),
                     cell(times.get("disable", []))])
    for name in figures.in_group(results, "hooked") + figures.in_group(results, "counted"):
        entry = figures.entry(results, "big", name)
        if entry and "enable_ms" in entry.get("facts", {}):
            facts = entry["facts"]
            rows.append([f"{name_cell(results, name)}: {facts['functions']} functions only", cell([facts["enable_ms"]]),
                         "as the first time", cell([facts["disable_ms"]])])
    rows.append(["uftrace", "at the start only", "", ""])
    rows.append(["LTTng, `-finstrument-functions`", "always on", "", "never off"])
    return table(["", "enable, the first time, ms", "enable, ms", "disable, ms"], rows)


def start_table(results):
    rows = []
    for group in GROUPS:
        for name in figures.in_group(results, group):
            times = figures.start_up(results, name)
            if times:
                rows.append([name_cell(results, name), cell(times)])
    for what, text in (("attach", "`calltap attach`, to a running process"), ("detach", "`calltap detach`"),
                       ("record", "`calltap record -p PID --duration 0.01`, from attaching to the end")):
        times = [1e3 * s for s in results.get("attaching", {}).get(what, [])]
        if times:
            rows.append([f"**{text}**", cell(times)])
    return table(["", "ms"], rows)


def text_table(results):
    columns = present(results, results.get("text", {}))
    rows = {}
    for about in results["contenders"].values():
        ratios = [figures.text_ratio(results, workload, about["build"]) for workload in columns]
        if about["group"] != "plain" and any(ratios):
            rows.setdefault(about["build"], [about["peer"], f"`{about['build']}`",
                                             *(f"{ratio:.3f}" if ratio else "" for ratio in ratios)])
    return table(["", "build", *workload_titles(results, columns)], rows.values())


def threads_table(results):
    rows = []
    for group in ("hooked", "counted", "recorded"):
        for name in figures.in_group(results, group):
            one, two = (figures.thread_cost(results, threads, name) for threads in (1, 2))
            if one and two:
                rows.append([name_cell(results, name), short(one), short(two),
                             cell(figures.thread_scaling(results, name))])
    return table(["", "1 thread, ns a call", "2 threads, ns a call", "times as much"], rows)


def server_table(results):
    rows = []
    for group in GROUPS:
        for name in figures.in_group(results, group):
            entry = figures.entry(results, "memcached", name)
            if entry and "requests_s" in entry["samples"][0]:
                samples = entry["samples"]
                rows.append([name_cell(results, name), cell([s["requests_s"] for s in samples]),
                             cell([s["median_ms"] for s in samples]), cell([s["slow_ms"] for s in samples])])
    return table(["", "requests a second", "half of the batches within, ms", "99 % within, ms"], rows)


FLOORS = {
    "call": "a call and its return",
    "clock": "one read of the clock (`rdtsc`)",
    "stream": "8 bytes, an event of Calltap's, written past the cache",
    "copy": "8 bytes copied out of a buffer",
    "trap": "an `int3` and the signal handler's return",
    "stop": "an `int3` at which a tracer stops the process and lets it go on",
}


def floors_table(results):
    found = results.get("floors", {})
    return table(["", "ns"], [[text, cell(found[key])] for key, text in FLOORS.items() if key in found])


def missing_list(results):
    """Contenders without numbers, with the workloads and the reason."""
    found = {}  # by contender and reason: where
    lines = []

    def add(name, why, where):
        if results["contenders"][name]["group"] != "plain":
            found.setdefault((name, why), []).append(where)

    for workload in results["workloads"].values():
        if "missing" in workload:
            lines.append(f"- {workload['title']}, all of it: {workload['missing']}")
        for name, entry in workload["contenders"].items():
            if "missing" in entry:
                add(name, entry["missing"], workload["title"])
            if "report_missing" in entry:
                add(name, entry["report_missing"], f"reading, {workload['title']}")
    for name, entry in results.get("switching", {}).items():
        if "missing" in entry:
            add(name, entry["missing"], "switching")
    together = {}  # those that are missing in the same places for the same reason, in one line
    for (name, why), where in found.items():
        together.setdefault((why, ", ".join(where)), []).append(figures.title(results, name))
    lines += [f"- {where}: {why}: {'; '.join(names)}" for (why, where), names in together.items()]
    return "\n".join(lines) or "All ran everywhere."


def behind_list(results):
    return "\n".join(behind.lines(results)) or "In this run no peer was ahead in any figure."


SECTIONS = {
    "machine": machine, "ratios": ratio_table, "behind": behind_list, "calls": calls_table, "slowdown": slowdown_table,
    "recordings": recordings_table, "server": server_table, "switching": switching_table, "start": start_table,
    "threads": threads_table, "text": text_table, "floors": floors_table, "missing": missing_list,
}


def text(results):
    """Everything, for a terminal."""
    return "\n\n".join(f"## {name}\n\n{section(results)}" for name, section in SECTIONS.items())


def check(results):
    """Raises where numbers belong to nobody."""
    for workload in results["workloads"].values():
        unknown = set(workload["contenders"]) - set(results["contenders"])
        if unknown:
            raise ValueError(f"{workload['title']} has contenders that are not described: {', '.join(sorted(unknown))}")


def filled(page, results):
    """The page with its marked parts made anew. Every section must have its mark, and every mark a section."""
    check(results)
    marks = [match[1] for match in MARK.findall(page)]
    if sorted(marks) != sorted(SECTIONS):
        wrong = set(marks) ^ set(SECTIONS) or {name for name in marks if marks.count(name) > 1}
        raise ValueError(f"the page's marks are not those of the sections: {', '.join(sorted(wrong))}")
    return MARK.sub(lambda match: f"{match[1]}{SECTIONS[match[2]](results)}\n{match[3]}", page)


def update(results, docs):
    path = docs / "peers.md"
    path.write_text(filled(path.read_text(), results))
    pictures.write(results, docs / "pictures")
