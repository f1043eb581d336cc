"""Where a peer's number is better than Calltap's, and why: sentences from the data."""

from . import figures
from .figures import CALLING, OURS
from measure.rounds import median, number

# By figure and contender: what is known about the reason. The first that fits is said.
REASONS = [
    ("call", "cyg-empty", "the compiler put in two calls of functions that do nothing; no frame is kept, nothing can be "
     "switched, and the program costs this also when nobody watches"),
    ("call", "lttng-idle", "as with empty hooks: the calls are always made, and find that there is no session"),
    ("call", "xray", "entry and exit are two places in the code, so nothing has to find the way back; and of the vector "
     "registers only the lower 128 bits are kept"),
    ("off", "", "a few per cent come from where functions lie alone; `./dev bench sqlite` shows how many"),
    ("switch", "xray", "it makes all of the code writable while it patches, writes directly, and does not synchronise other "
     "cores; Calltap never has memory that is writable and executable, compares every site before it writes, and waits "
     "for all cores. The first time it also makes a stub and a record for each site"),
    ("start-recorded", "", "`calltap record` starts a process that starts the program, finds the functions and their names, "
     "and patches all of them before `main`"),
    ("start", "cyg-empty", "there is nothing to do at the start: the hooks are in the code"),
    ("start", "lttng", "there is nothing to do at the start: the hooks are in the code"),
    ("start", "xray", "its table of sleds is in the program, ready to use; Calltap reads the program's file, looks at every "
     "function, and makes a stub and a record for each"),
    ("threads", "", "probably the tool that takes the events away: it needs one of the CPUs, and its cache, that the threads "
     "have"),
    ("memory", "uprobe", "its buffer is the kernel's and its tool's, not the program's"),
    ("memory", "", "memory is what makes waiting rare: the buffers of a thread, and for each site a record and the page of "
     "code that is the program's own once it is written"),
    ("bytes", "xray", "both write 8 bytes for an event; the rest are the headers of buffers"),
    ("text", "", "the entry that Calltap likes best, `=18,16`, is 18 bytes of every function, which shows where functions are "
     "tiny; it works with `=5` too"),
]


# What a workload adds to the reason why calls cost more.
ALSO = {
    "expressions": "in the C++ program a good part of Calltap's time is exceptions on their way through hooked frames",
    "big": "in the program of 60,000 functions nothing is in a cache when it is called, and with Calltap each function has a "
           "record and a stub of its own, which probably must come from memory too",
}


def reason(figure, name, workloads):
    """`workloads`: those that it is the reason for."""
    also = [f"; {text}" for workload, text in ALSO.items() if figure == "call" and workload in workloads]
    for of_figure, of_name, why in REASONS:
        if of_figure == figure and name.startswith(of_name):
            return why + "".join(also)
    return "why, has not been looked into" + "".join(also)


class Comparison:
    """One figure: lower is better, unless `more` says otherwise."""

    def __init__(self, results, lines):
        self.results, self.lines = results, lines

    def compare(self, figure, what, ours, peers, values, unit, more=False, sure=False,
                aside=lambda name: ""):
        """`values(name)` gives samples. Adds a line for each peer that is ahead; `sure`: in every round."""
        mine = values(ours)
        if not mine:
            return
        for name in peers:
            theirs = values(name)
            if figures.is_ours(self.results, name) or not theirs:
                continue
            ahead = median(theirs) > median(mine) if more else median(theirs) < median(mine)
            if ahead and not (sure and figures.overlap(theirs, mine)):
                note = " (the rounds of the two overlap)" if figures.overlap(theirs, mine) else ""
                self.lines.setdefault((name, figure), []).append(
                    f"{what} {number(median(theirs))} against {number(median(mine))}{unit}{note}{aside(name)}")


def lines(results):
    """Markdown, an item for each reason, with the peers and the figures that it is the reason for."""
    found = {}
    comparison = Comparison(results, found)
    groups = {group: figures.in_group(results, group) for group in OURS}
    for workload in CALLING:
        title = results["workloads"].get(workload, {}).get("title")
        comparison.compare("off", f"off, {title}:", OURS["off"], groups["off"],
                           lambda name: figures.slowdown(results, workload, name), " times plain", sure=True)
        for group in ("hooked", "counted", "recorded"):
            comparison.compare("call", f"{group}, {title}:", OURS[group], groups[group],
                               lambda name: figures.added(results, workload, name), " ns",
                               aside=lambda name: program(results, workload, name, OURS[group]))
    recorded = groups["recorded"]
    ours = OURS["recorded"]
    comparison.compare("bytes", "bytes an event:", ours, recorded,
                       lambda name: figures.bytes_an_event(results, figures.READ, name), "")
    comparison.compare("memory", "more memory (SQLite):", ours, recorded,
                       lambda name: figures.memory(results, figures.READ, name), " MiB")
    comparison.compare("report", "reading:", ours, recorded, lambda name: figures.report_speed(results, name),
                       " M events/s", more=True)
    for group in ("hooked", "counted", "recorded"):
        comparison.compare("start-recorded" if group == "recorded" else "start", f"start and end, {group}:", OURS[group],
                           groups[group], lambda name: figures.start_up(results, name), " ms")
        comparison.compare("threads", f"two threads, {group}:", OURS[group], groups[group],
                           lambda name: figures.thread_scaling(results, name), " times one thread's cost of a call",
                           sure=True, aside=lambda name: threads_aside(results, name, OURS[group]))
    for step, text in (("first", "the first time:"), ("enable", "enable again:"), ("disable", "disable:")):
        comparison.compare("switch", text, "calltap-counted", list(results.get("switching", {})),
                           lambda name: figures.switching(results, name).get(step, []), " ms")
    for workload in results.get("text", {}):
        title = results["workloads"][workload]["title"]
        builds = {}
        for name, about in results["contenders"].items():
            if about["group"] != "plain":
                builds.setdefault(about["build"], name)
        comparison.compare("text", f"`.text`, {title}:", builds["gcc-18,16"], builds.values(),
                           lambda name: text_values(results, workload, name), " times plain")
    by_reason = {}
    for (name, figure), texts in found.items():
        workloads = [workload for workload, about in results["workloads"].items()
                     if any(f" {about['title']}: " in text for text in texts)]
        peers = by_reason.setdefault(sentence(reason(figure, name, workloads)), [])
        peers.append(f"**{figures.title(results, name)}**: {'; '.join(texts)}.")
    return [f"- {' '.join(peers)} *{why}*" for why, peers in by_reason.items()]


def threads_aside(results, name, ours):
    theirs, mine = (median(figures.thread_cost(results, 2, which)) for which in (name, ours))
    return f" ({number(theirs)} against {number(mine)} ns)"


def program(results, workload, name, ours):
    """A call can be cheaper and the program slower: where functions that were inlined are hooked too."""
    theirs, mine = (median(figures.slowdown(results, workload, which)) for which in (name, ours))
    if theirs <= mine or figures.entry(results, workload, name).get("functions_limit"):
        return ""
    each = [figures.calls(results, workload, which) / max(figures.entry(results, workload, which)["size"], 1)
            for which in (name, ours)]
    return f" (but the program {theirs:.2f} against {mine:.2f} times plain, with {each[0] / each[1]:.1f} times the calls)"


def text_values(results, workload, name):
    ratio = figures.text_ratio(results, workload, results["contenders"][name]["build"])
    return [] if ratio is None else [round(ratio, 3)]


def sentence(text):
    return text[0].upper() + text[1:] + "."
