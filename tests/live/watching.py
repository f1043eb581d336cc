"""calltap trace and calltap stat."""
import json
import signal
import subprocess

from process import TIMEOUT, Target, complaints, expect, finish, wait_until


def watched(live, target, *words, calls=2):
    """What a view says of a few calls that the process made while it was watched."""
    tool = live.start(*words)
    live.wait_for_recording(target.pid)
    target.obey(f"calls {calls}")
    output, errors = finish(tool, signal.SIGINT)
    expect(not complaints(errors), errors)
    return output


def test_trace(live):
    with Target(live) as target:
        target.obey("threads 2")
        output = watched(live, target, "trace", target.pid, "-N", "obey*", calls=5)
        names = [line.split()[-1] for line in output.splitlines() if not line.startswith("#")]
        expect(names.count("leaf()") == 5 and names.count("work()") == 2 and "spin()" in names, output)
        names = [name for name in names if name != "spin()"]
        expect(names == ["work()", *["leaf()"] * 5, "work()"], output)
        expect(not target.has_control_thread(), "not detached")
        live.verified(target.pid)


def test_trace_filtered(live):
    with Target(live) as target:
        live.done("attach", target.pid)
        output = watched(live, target, "trace", target.pid, "-F", "leaf", calls=3)
        calls = [line for line in output.splitlines() if not line.startswith("#")]
        expect(len(calls) == 3 and all("leaf()" in line for line in calls), output)
        live.refused("trace", target.pid, "-F", "laef", says=["laef", "leaf"])
        live.done("detach", target.pid)


def test_trace_graph(live):
    with Target(live) as target:
        output = watched(live, target, "trace", target.pid, "--graph", "-N", "obey*")
        calls = [line.split("|")[1].strip() for line in output.splitlines() if "|" in line]
        expect(calls == ["work() {", "leaf();", "leaf();", "} /* work */"], output)


def test_trace_json(live):
    with Target(live) as target:
        lines = list(map(json.loads, watched(live, target, "trace", target.pid, "--json", "-N", "obey*").splitlines()))
        seen = [(line["kind"], line["function"], line["depth"]) for line in lines]
        expect(seen == [("entry", "work", 0), ("call", "leaf", 1), ("call", "leaf", 1), ("exit", "work", 0)], lines)
        expect(all(line["tid"] == target.pid for line in lines), lines)


def test_trace_as_it_happens(live):
    """A call is there to be read while the process is still being traced."""
    with Target(live) as target:
        tool = live.start("trace", target.pid, "-F", "leaf")
        live.wait_for_recording(target.pid)
        for _ in range(3):
            target.obey("calls 1")
            wait_until(lambda: "leaf()" in tool.stdout.readline(), "a line for the call")
        live.done("set", target.pid, "-F", "work")
        target.obey("calls 1")
        wait_until(lambda: "work()" in tool.stdout.readline(), "a line for the call of another function")
        finish(tool, signal.SIGINT)


def test_duration(live):
    with Target(live) as target:
        target.obey("threads 1")
        expect("spin()" in live.done("trace", target.pid, "--duration", "0.2"), "no call")
        expect("spin" in live.done("stat", target.pid, "--duration", "200ms"), "no function")
        expect(not target.has_control_thread(), "not detached")


def test_closed_pipe(live):
    """Who reads it has enough: the tool ends, and leaves the process as it was."""
    with Target(live) as target:
        target.obey("threads 2")
        for words in (["trace", target.pid], ["trace", target.pid, "--json"], ["stat", target.pid, "--interval", "0.01"]):
            tool = live.start(*words)
            tool.stdout.readline()
            tool.stdout.close()
            try:
                expect(tool.wait(TIMEOUT) == 0, f"{words}: status {tool.returncode}: {tool.stderr.read()}")
            except subprocess.TimeoutExpired:
                tool.kill()
                raise AssertionError(f"{words}: goes on") from None
            tool.stderr.close()
            expect(not target.has_control_thread(), f"{words}: not detached")
            live.verified(target.pid)


def test_stat(live):
    with Target(live) as target:
        output = watched(live, target, "stat", target.pid, "-F", "work", "-F", "leaf", calls=20)
        rows = {line.split()[-1]: line.split() for line in output.splitlines() if line.endswith((" work", " leaf"))}
        expect(rows["leaf"][0] == "20" and rows["work"][0] == "1", output)
        expect(str(target.pid) in output and "42 events" in output, output)


def test_stat_json(live):
    """Every interval an object; what they say adds up."""
    with Target(live) as target:
        tool = live.start("stat", target.pid, "--json", "--interval", "50ms", "-F", "leaf")
        live.wait_for_recording(target.pid)
        for total in (30, 60, 90):
            target.obey("calls 30")
            calls = 0
            while calls < 30:
                interval = json.loads(tool.stdout.readline())
                calls += sum(row["calls"] for row in interval["functions"])
            expect(calls == 30 and interval["discarded"] == {}, interval)
            expect(interval["functions"][0]["since_start"]["calls"] == total, interval)
        finish(tool, signal.SIGINT)


def test_stat_limit(live):
    with Target(live) as target:
        output = watched(live, target, "stat", target.pid, "--json", "--limit", "1")
        for line in output.splitlines():
            expect(len(json.loads(line)["functions"]) <= 1, line)
        live.refused("stat", target.pid, "--limit", "many", says=["--limit", "many", "--help"], status=2)
        live.refused("stat", target.pid, "--interval", "0", says=["--interval", "--help"], status=2)
        live.refused("trace", target.pid, "--json", "--graph", says=["--json", "--graph", "--help"], status=2)
