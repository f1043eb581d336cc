"""calltap record -p."""
import json
import signal

from process import Target, expect, finish, wait_until


def test_until_interrupted(live):
    """Exactly what the process did while it was recorded, from several threads; and it is left as it was."""
    with Target(live) as target:
        target.obey("threads 3")
        target.obey("calls 77")
        tool = live.record(target.pid)
        target.obey("calls 1000")
        finish(tool, signal.SIGINT)
        target.obey("calls 55")
        reported = live.reported()
        expect(reported["leaf"] == 1000 and reported["work"] == 1 and reported["spin"] > 0, reported)
        wait_until(lambda: not target.has_control_thread(), "detached again")
        live.verified(target.pid)
        process, = live.info()["processes"]
        expect(process["pid"] == target.pid, process)


def test_duration(live):
    with Target(live) as target:
        target.obey("threads 1")
        live.done("record", "-p", target.pid, "--duration", "0.2", "-o", live.directory)
        expect(live.reported()["spin"] > 0, live.reported())
        live.verified(target.pid)
        expect(not target.has_control_thread(), "not detached")


def test_attached_before_stays_attached(live):
    with Target(live) as target:
        live.done("attach", target.pid)
        finish(live.record(target.pid), signal.SIGINT)
        expect(target.has_control_thread(), "detached from what somebody else has attached to")
        live.done("detach", target.pid)


def test_filters(live):
    with Target(live) as target:
        tool = live.record(target.pid, "-F", "*", "-N", "lea*")
        target.obey("calls 10")
        finish(tool, signal.SIGTERM)
        expect(live.reported()["work"] == 1 and live.reported()["leaf"] == 0, live.reported())
        tool = live.record(target.pid, "-F", "leaf")
        target.obey("calls 10")
        finish(tool, signal.SIGHUP)
        expect(live.reported() == {"leaf": 10}, live.reported())
        live.refused("record", "-p", target.pid, "-F", "laef", "-o", live.folder / "other", says=["laef", "leaf"])
        expect(not (live.folder / "other").exists(), "a recording was made all the same")


def test_on_full(live):
    """More than the buffers hold: all of it with wait, what is lost is counted with discard, the end of it with flight."""
    calls = 200_000
    for mode in ("wait", "discard", "flight"):
        with Target(live) as target:
            tool = live.record(target.pid, "--on-full", mode, "--buffer", "128K", "-F", "leaf")
            expect(live.status(target.pid)["buffers"]["on_full"] == mode, live.status(target.pid))
            target.obey(f"calls {calls}")
            finish(tool, signal.SIGINT)
            process, = live.info()["processes"]
            recorded, lost = live.reported()["leaf"], sum(process["discarded"].values())
            if mode == "wait":
                expect(recorded == calls and lost == 0, f"{recorded} calls, {process['discarded']}")
            elif mode == "flight":
                expect(0 < recorded < calls and lost > 0, f"{recorded} calls, {process['discarded']}")
            expect(live.info()["events"] + lost == 2 * calls, f"{mode}: {process}")


def test_default_is_to_discard(live):
    with Target(live) as target:
        tool = live.record(target.pid)
        expect(live.status(target.pid)["buffers"]["on_full"] == "discard", live.status(target.pid))
        finish(tool, signal.SIGINT)


def test_max_size(live):
    with Target(live) as target:
        tool = live.record(target.pid, "--max-size", "256K", "--on-full", "wait", "-F", "leaf")
        target.obey("calls 200000")
        _, errors = finish(tool, signal.SIGINT)
        expect("--max-size" in errors, errors)
        size = sum(path.stat().st_size for path in live.directory.rglob("thread-*"))
        expect(size <= 256 << 10, f"{size} bytes")
        process, = live.info()["processes"]
        expect(live.info()["events"] + sum(process["discarded"].values()) == 400_000, process["discarded"])
        live.verified(target.pid)


def test_one_after_the_other(live):
    with Target(live) as target:
        live.done("attach", target.pid)
        for calls in (5, 50, 500):
            tool = live.record(target.pid)
            target.obey(f"calls {calls}")
            finish(tool, signal.SIGINT)
            expect(live.reported()["leaf"] == calls, f"{calls}: {live.reported()}")
        older = json.loads(live.done("report", f"{live.directory}.old", "--format", "json"))
        expect(any(row["name"] == "leaf" and row["calls"] == 50 for row in older["functions"]), older)


def test_two_at_once(live):
    """The second is refused, whatever it is, and leaves nothing; the first does not notice."""
    with Target(live) as target:
        tool = live.record(target.pid)
        target.obey("calls 100")
        second = live.folder / "second"
        for words in (["record", "-p", target.pid, "-o", second], ["trace", target.pid], ["stat", target.pid]):
            live.refused(*words, says=[target.pid, "being recorded"])
            expect(live.status(target.pid)["recording"] == "on", live.status(target.pid))
        expect(not second.exists(), "the refused recording has left its directory")
        target.obey("calls 100")
        finish(tool, signal.SIGINT)
        expect(live.reported()["leaf"] == 200, live.reported())


def test_modules_come_and_go(live):
    """Loaded while it is recorded, with a filter that waits for it; unloaded and loaded again; also while attached only."""
    plugin = live.programs / "pad/plugin.so"
    with Target(live) as target:
        live.done("attach", target.pid)
        target.obey(f"load {plugin}")
        target.obey("plugin 7")
        target.obey("unload")
        tool = live.record(target.pid, "-F", "leaf", "-F", "plugin*:plugin")
        for _ in range(3):
            target.obey(f"load {plugin}")
            target.obey("plugin 100")
            target.obey("unload")
        target.obey(f"load {plugin}")
        target.obey("plugin 5")
        finish(tool, signal.SIGINT)
        expect(live.reported()["plugin"] == 305, live.reported())
        live.done("detach", target.pid)
        live.verified(target.pid)
        target.obey("plugin 5")
        target.obey("unload")
        target.obey(f"load {plugin}")
        target.obey("plugin 5")


def test_no_children(live):
    with Target(live) as target:
        tool = live.record(target.pid, "--no-children")
        target.obey("calls 10")
        target.obey("fork 20")
        target.obey("calls 30")
        finish(tool, signal.SIGINT)
        expect(live.reported()["leaf"] == 40, live.reported())
    process = live.run("record", "--no-children", "-o", live.directory, "--", live.programs / "pad/target", "fork", "20", input="")
    expect(process.returncode == 0 and "leaf" not in live.reported(), f"{process.stderr} {live.reported()}")


def test_fork(live):
    """Children are recorded, those that end and those that are still there when the recording does."""
    with Target(live) as target:
        tool = live.record(target.pid)
        target.obey("calls 10")
        target.obey("fork 20")
        child = int(target.ask("child").split()[1])
        target.obey("calls 30")
        wait_until(lambda: len(list(live.directory.rglob("metadata"))) == 3, "three processes are recorded")
        finish(tool, signal.SIGINT)
        reported = live.reported()
        expect(reported["leaf"] == 61 and reported["work"] == 4, reported)
        for pid in (target.pid, child):
            live.refused("status", pid, says=["not attached"])
            live.verified(pid)
        finish(live.record(child), signal.SIGINT)


def test_exec(live):
    """The program that a process becomes was started without Calltap: the recording ends."""
    with Target(live) as target:
        tool = live.record(target.pid)
        target.obey("calls 10")
        target.order("exec 20")
        target.expect_line("ready")
        target.expect_line("calls 0")
        _, errors = finish(tool)
        expect(f"process {target.pid}" in errors and "another program" in errors, errors)
        expect(live.reported()["leaf"] == 10, live.reported())
        finish(live.record(target.pid), signal.SIGINT)


def test_detached_by_another(live):
    """calltap detach while it is recorded: the recording ends, with what was recorded."""
    with Target(live) as target:
        tool = live.record(target.pid)
        target.obey("calls 10")
        live.done("detach", target.pid)
        target.obey("calls 10")
        _, errors = finish(tool)
        expect(f"process {target.pid}" in errors and "detached" in errors, errors)
        expect(live.reported()["leaf"] == 10, live.reported())
        live.verified(target.pid)


def test_bad_words(live):
    for words, says in ((["-p", "1x"], ["-p", "1x"]), (["-p", "1", "--", "ls"], ["not both"]),
                        (["--duration", "1", "--", "ls"], ["--duration", "-p"]),
                        (["-p", "1", "--duration", "soon"], ["--duration", "soon"]),
                        (["-p", "1", "--on-full", "block"], ["--on-full", "block", "wait, discard, flight"])):
        live.refused("record", *words, says=[*says, "--help"], status=2)
