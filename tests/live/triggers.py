"""--trigger and --while: what is recorded depends on which functions are called."""
import json
import signal

from process import Target, expect, finish, wait_until


def recorded(live, *options, calls):
    """What is reported of a recording with these options in which these commands were obeyed."""
    with Target(live) as target:
        tool = live.record(target.pid, "-N", "obey*", *options)
        for command in calls:
            target.obey(command)
        finish(tool, signal.SIGINT)
        live.verified(target.pid)
    return live.reported()


def test_traceoff(live):
    reported = recorded(live, "--trigger", "finish:traceoff", calls=["calls 10", "marked 100", "calls 1000"])
    expect(reported == {"work": 2, "leaf": 110, "begin": 1}, reported)


def test_traceon_is_seen_itself(live):
    reported = recorded(live, "--trigger", "finish:traceoff", "--trigger", "begin:traceon",
                        calls=["marked 10", "calls 1000", "marked 100", "calls 1000"])
    expect(reported == {"begin": 2, "work": 2, "leaf": 110}, reported)


def test_count(live):
    reported = recorded(live, "--trigger", "finish:traceoff:1", "--trigger", "begin:traceon",
                        calls=["marked 1", "calls 1000", "marked 10", "calls 100"])
    expect(reported == {"begin": 2, "work": 3, "leaf": 111, "finish": 1}, reported)


def test_while(live):
    reported = recorded(live, "--while", "work", "-N", "begin", calls=["calls 10", "marked 100"])
    expect(reported == {"work": 2, "leaf": 110}, reported)
    reported = recorded(live, "--while", "begin", "--while", "finish", calls=["calls 10", "marked 100"])
    expect(reported == {"begin": 1, "finish": 1}, reported)


def test_while_of_each_thread(live):
    with Target(live) as target:
        target.obey("threads 3")
        tool = live.record(target.pid, "--while", "work")
        target.obey("calls 10")
        finish(tool, signal.SIGINT)
        expect(live.reported() == {"work": 1, "leaf": 10}, live.reported())


def test_triggers_of_a_started_program(live):
    tool = live.run("record", "-o", live.directory, "--while", "work", "--", live.programs / "pad/target", "marked", "7",
                    input="")
    expect(tool.returncode == 0, tool.stderr)
    expect(live.reported() == {"work": 1, "leaf": 7}, live.reported())


def test_other_threads_stop_too(live):
    with Target(live) as target:
        target.obey("threads 3")
        tool = live.record(target.pid, "--trigger", "finish:traceoff")
        target.obey("marked 1")
        target.obey("calls 10")
        finish(tool, signal.SIGINT)
        reported = live.reported()
        expect(reported["leaf"] == 1 and reported["work"] == 1, reported)


def test_nonsense_is_refused(live):
    for text in ("work", "work:sometimes", ":traceon", "work:traceon:x", "work:5"):
        live.refused("record", "-p", 1, "--trigger", text, says=["--trigger", text], status=2)


def frames(stack):
    """The names in a stack as `calltap trace --json` has it, up to main() or where the thread began."""
    names = [frame.get("function", "") for frame in stack]
    return names[:names.index("main") + 1] if "main" in names else names


def test_stacktrace_while_it_happens(live):
    with Target(live) as target:
        tool = live.start("trace", target.pid, "--json", "-F", "leaf", "--trigger", "leaf:stacktrace:2", "--trigger", "begin:stacktrace")
        live.wait_for_recording(target.pid)
        target.obey("calls 5")
        target.obey("marked 1")
        output, _ = finish(tool, signal.SIGINT)
        lines = list(map(json.loads, output.splitlines()))
        expect(all("discarded" != line["kind"] for line in lines), lines)
        calls = [line for line in lines if line["kind"] in ("entry", "call")]
        expect([line["function"] for line in calls] == ["leaf"] * 6, lines)
        expect(["stack" in line for line in calls] == [True, True, False, False, False, False], lines)
        for line in calls[:2]:
            names = frames(line["stack"])
            expect(names[:2] == ["leaf", "work"] and names[-1] == "main" and line["stack_complete"], line)
            expect(line["stack"][1]["module"] == "target" and line["stack"][0]["offset"] == 0, line)
        # begin() is not watched itself.
        alone = [line for line in lines if line["kind"] == "stack"]
        expect([line["function"] for line in alone] == ["begin"], lines)
        names = frames(alone[0]["stack"])
        expect(names[0] == "begin" and "work" not in names and names[-1] == "main", alone)
        live.verified(target.pid)


def test_stacktrace_for_people(live):
    with Target(live) as target:
        for options, mark in (([], "<- work+0x"), (["--graph"], "/* <- work+0x")):
            tool = live.start("trace", target.pid, *options, "--trigger", "leaf:stacktrace")
            live.wait_for_recording(target.pid)
            target.obey("calls 7")
            output, _ = finish(tool, signal.SIGINT)
            expect(output.count(mark) == 7 and output.count("<- main+0x") == 7, output)


def test_stacktraces_of_threads(live):
    with Target(live) as target:
        target.obey("threads 3")
        live.done("attach", target.pid, "--flight", "-F", "work", "--trigger", "spin:stacktrace:100", "--trigger", "leaf:stacktrace:3")
        target.obey("calls 50")
        wait_until(lambda: live.done("snapshot", target.pid, "-o", live.directory) is not None and
                   live.done("replay", live.directory).count("/* spin() */") == 100, "a hundred stacks")
        output = live.done("replay", live.directory)
        expect(output.count("/* leaf() */") == 3 and output.count("<- work+0x") == 3, output)
        expect(output.count("<- thread+0x") == 100 and "..." not in output, output)
        live.done("detach", target.pid)


def test_no_stacktrace_while_events_are_off(live):
    with Target(live) as target:
        tool = live.record(target.pid, "--trigger", "finish:traceoff:1", "--trigger", "begin:traceon", "--trigger", "leaf:stacktrace:5")
        target.obey("marked 2")
        target.obey("calls 1000")
        target.obey("marked 10")
        finish(tool, signal.SIGINT)
        expect(live.done("replay", live.directory).count("<- work+0x") == 5, "2 stacks before, 3 behind")
        # A thread that comes back to a closed recording finds nothing of it.
        target.obey("calls 10")
