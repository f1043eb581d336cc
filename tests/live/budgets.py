"""calltap record --budget: what costs too much is turned off while the program runs, and on again when it calms."""
import json
import signal

from process import Target, expect, finish, recording, wait_until
import trace_events

MILLION = 1_000_000


def hooked(live, pid):
    """Functions that are recorded at this moment."""
    process = live.run("status", pid, "--functions", "--json")
    if process.returncode != 0:  # it may serve the tool that keeps the budget
        return None
    return {line.split()[0] for line in json.loads(process.stdout)["functions"].splitlines()}


def turn_off_leaf(live, target):
    """Hot calls until leaf() has been turned off; how many, and how often work() was called."""
    calls = 0

    def is_off():
        nonlocal calls
        target.obey(f"calls {MILLION}")
        calls += MILLION
        functions = hooked(live, target.pid)
        return functions is not None and "leaf" not in functions
    wait_until(is_off, "leaf is turned off")
    return calls, calls // MILLION


def turned_off(live, name="leaf"):
    """The process's directory and what it says about a function's times off; None if it was always on."""
    directory, = trace_events.process_directories(live.directory)
    description = recording.description(directory)
    for entry in description["budget"]["turned_off"]:
        if recording.function_name(directory, entry["id"]) == name:
            return directory, description, entry
    return directory, description, None


def check_counts(live, calls, works):
    """Exact where it can be: what was seen is what is in the files, and functions that were never off are complete."""
    directory, description, leaf = turned_off(live)
    expect(leaf is not None, f"leaf was not turned off: {description['budget']}")
    entries = trace_events.read_process(directory).by_event[trace_events.ENTRY]
    expect(leaf["seen_calls"] == entries[leaf["id"]], f"{leaf} but {entries[leaf['id']]} in the files")
    expect(0 < leaf["seen_calls"] < calls and leaf["missed_calls_estimate"] > 0, f"{leaf} of {calls}")
    for begin, end in leaf["off"]:
        expect(0 < begin and (end == 0 or begin < end), leaf)
    expect(len(leaf["off"]) == leaf["times_off"], leaf)
    reported = live.reported()
    expect(reported["work"] == works, f"work {reported['work']}, not {works}")
    expect(reported["leaf"] == leaf["seen_calls"], f"{reported} {leaf}")
    return description, leaf


def test_hot_function_of_a_started_program(live):
    command = [live.calltap, "record", "--budget", "5%", "-o", str(live.directory), "--"]
    with Target(live, command=command) as target:
        calls, works = turn_off_leaf(live, target)
        target.obey("marked 10")
        works += 1
        calls += 10
        target.process.stdin.close()
        target.process.stdin = None
        status, _, errors = target.wait()
        expect(status == 0 and "budget 5%: recording cost about" in errors, f"{status} {errors}")
    description, leaf = check_counts(live, calls, works)
    reported = live.reported()
    expect(reported["begin"] == 1 and reported["finish"] == 1 and reported["main"] == 1, reported)
    expect(leaf["off_at_end"], leaf)
    expect(description["budget"]["share"] == 0.05 and description["budget"]["call_cost_ns"] > 0, description["budget"])
    # Every view says so.
    row, = (f for f in recording.ask(live.calltap, "report", live.directory)["functions"] if f["name"] == "leaf")
    expect(row["turned_off"] and row["missed_calls_estimate"] == leaf["missed_calls_estimate"], row)
    text = live.done("report", live.directory)
    expect("missed" in text and f"~{leaf['missed_calls_estimate']}" in text, text)
    expect("budget       5%" in live.done("info", live.directory), live.done("info", live.directory))
    metadata = (trace_events.process_directories(live.directory)[0] / "metadata").read_text()
    expect('calltap_budget = "5%"' in metadata and 'calltap_turned_off = "leaf' in metadata, metadata[:2000])


def test_process_that_runs_and_calms(live):
    """leaf() comes back once it is called now and then only, and stays."""
    with Target(live) as target:
        tool = live.record(target.pid, "--budget", "50", "--on-full", "wait")
        calls, works = turn_off_leaf(live, target)
        on_in_a_row = 0

        def is_calm():
            nonlocal calls, on_in_a_row
            target.obey("paced 500")
            calls += 500
            functions = hooked(live, target.pid)
            if functions is not None:
                on_in_a_row = on_in_a_row + 1 if "leaf" in functions else 0
            return on_in_a_row == 10
        wait_until(is_calm, "leaf is on again")
        finish(tool, signal.SIGINT)
        live.verified(target.pid)
    _, leaf = check_counts(live, calls, works)
    expect(not leaf["off_at_end"] and leaf["off"][-1][1] != 0, leaf)


def test_filter_of_another_tool(live):
    """Another tool changes filters: what is off stays off, and what the new filter does not select does not come back."""
    with Target(live) as target:
        tool = live.record(target.pid, "--budget", "50%", "--on-full", "wait")
        turn_off_leaf(live, target)
        # The program does nothing now, so nothing is tried.
        live.done("set", target.pid, "-F", "leaf", "-F", "begin")
        wait_until(lambda: hooked(live, target.pid) == {"begin"}, "only begin")
        live.done("set", target.pid, "-F", "work")
        wait_until(lambda: hooked(live, target.pid) == {"work"}, "only work")
        for _ in range(20):  # enough for trials
            target.obey("paced 500")
            functions = hooked(live, target.pid)
            expect(functions is None or "leaf" not in functions, functions)
        finish(tool, signal.SIGINT)
        live.verified(target.pid)
    expect(turned_off(live)[2] is not None, "leaf was turned off")


def test_generous_budget_turns_nothing_off(live):
    with Target(live) as target:
        tool = live.record(target.pid, "--budget", "1000%", "--on-full", "wait")
        target.obey("calls 300")
        target.obey("paced 50")
        _, errors = finish(tool, signal.SIGINT)
        expect("0 functions were turned off" in errors, errors)
    _, description, leaf = turned_off(live)
    expect(leaf is None and description["budget"]["turned_off"] == [], description["budget"])
    expect(live.reported()["leaf"] == 350, live.reported())


def test_children_and_threads(live):
    """A forked child has a budget of its own, and begins with what its parent has turned off."""
    command = [live.calltap, "record", "--budget", "5%", "-o", str(live.directory), "--"]
    with Target(live, command=command) as target:
        target.obey("threads 2")
        turn_off_leaf(live, target)
        target.obey("fork 1000")
        expect(target.ask(f"exec {MILLION}") == "ready", "not executed")
        target.expect_line("calls 0")
    directories = trace_events.process_directories(live.directory)
    expect(len(directories) == 3, directories)
    for directory in directories:
        budget = recording.description(directory)["budget"]
        entries = trace_events.read_process(directory).by_event[trace_events.ENTRY]
        for entry in budget["turned_off"]:
            expect(entry["seen_calls"] == entries[entry["id"]], f"{directory}: {entry} {entries[entry['id']]}")
    child = next(recording.description(d) for d in directories if recording.description(d)["parent_pid"] == target.pid)
    expect(len(child["budget"]["turned_off"]) > 0, child["budget"])
    damage = [t["damage"] for p in live.info()["processes"] for t in p["threads"]]
    expect(not any(damage), damage)


def test_refusals(live):
    with Target(live) as target:
        for value in ("0", "-1", "1001%", "5%%", "x", "", "nan", "inf"):
            live.refused("record", "-p", target.pid, f"--budget={value}", "-o", live.directory, status=2, says=["--budget"])
        for options in (["--on-full", "flight"], ["--while", "work"], ["--trigger", "work:traceoff"], ["--args"]):
            live.refused("record", "-p", target.pid, "--budget", "5%", *options, "-o", live.directory, status=2,
                         says=["--budget", options[0]])
        expect(not live.directory.exists(), "a recording was made all the same")
