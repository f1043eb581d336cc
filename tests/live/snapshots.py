"""attach --flight and calltap snapshot: the newest events, without ending anything."""
import signal

from process import Target, expect, finish, wait_until


def test_of_a_flight_recorder_without_a_tool(live):
    with Target(live) as target:
        live.done("attach", target.pid, "--flight", "-N", "obey*")
        target.obey("calls 100")
        live.done("snapshot", target.pid, "-o", live.directory)
        expect(live.reported() == {"work": 1, "leaf": 100}, live.reported())
        target.obey("calls 10")
        live.done("snapshot", target.pid, "-o", live.directory)
        expect(live.reported() == {"work": 2, "leaf": 110}, live.reported())
        live.refused("record", "-p", target.pid, says=["flight"])
        live.done("detach", target.pid)
        live.verified(target.pid)
        live.refused("snapshot", target.pid, says=["calltap attach"])


def test_of_modules_that_are_gone(live):
    plugin = live.programs / "pad/plugin.so"
    with Target(live) as target:
        live.done("attach", target.pid, "--flight", "-N", "obey*")
        for _ in range(2):
            target.obey(f"load {plugin}")
            target.obey("plugin 12")
            target.obey("unload")
        target.obey("calls 100")
        live.done("snapshot", target.pid, "-o", live.directory)
        expect(live.reported() == {"work": 1, "leaf": 100, "plugin": 24}, live.reported())
        live.done("detach", target.pid)


def test_keeps_the_newest(live):
    with Target(live) as target:
        live.done("attach", target.pid, "--flight", "--buffer", "128K", "-F", "leaf", "-F", "begin")
        target.obey("calls 1000000")
        target.obey("marked 1")
        live.done("snapshot", target.pid, "-o", live.directory)
        reported = live.reported()
        expect(reported["begin"] == 1 and 1000 < reported["leaf"] < 100_000, reported)
        live.done("detach", target.pid)


def test_while_threads_go_on(live):
    with Target(live) as target:
        target.obey("threads 4")
        live.done("attach", target.pid, "--flight", "--buffer", "128K")
        for _ in range(5):
            live.done("snapshot", target.pid, "-o", live.directory)
            wait_until(lambda: "spin" in live.reported() or live.done("snapshot", target.pid, "-o", live.directory) is None,
                       "spin in the snapshot")
        live.done("detach", target.pid)
        live.verified(target.pid)


def test_while_a_tool_records(live):
    with Target(live) as target:
        tool = live.record(target.pid, "--on-full", "flight")
        target.obey("calls 100")
        live.done("snapshot", target.pid, "-o", live.folder / "snapshot")
        expect(live.reported(live.folder / "snapshot")["leaf"] == 100, "the snapshot")
        finish(tool, signal.SIGINT)
        expect(live.reported()["leaf"] == 100, "the recording")


def test_trigger(live):
    with Target(live) as target:
        live.done("attach", target.pid, "--flight", "--trigger", "finish:snapshot:1")
        target.obey("marked 10")
        # The control thread sets it aside a moment later.
        wait_until(lambda: live.status(target.pid)["buffers"]["saved"], "a snapshot that was set aside")
        target.obey("calls 1000")
        live.done("snapshot", target.pid, "-o", live.directory)
        expect(live.reported()["leaf"] == 10, live.reported())
        live.done("snapshot", target.pid, "-o", live.directory)
        expect(live.reported()["leaf"] == 1010, live.reported())
        live.done("detach", target.pid)


def test_needs_flight_mode(live):
    with Target(live) as target:
        tool = live.record(target.pid)
        live.refused("snapshot", target.pid, says=["flight"])
        target.obey("calls 10")
        finish(tool, signal.SIGINT)
        expect(live.reported()["leaf"] == 10, live.reported())


def test_more_threads_than_there_are_slots(live):
    with Target(live) as target:
        live.done("attach", target.pid, "--flight", "-F", "spin")
        for _ in range(3):
            target.obey("shortlived 2000")
        live.done("snapshot", target.pid, "-o", live.directory)
        lost = live.info()["processes"][0]["discarded"]
        expect(lost.get("no_thread_slot", 0) == 0, lost)
        live.done("detach", target.pid)
