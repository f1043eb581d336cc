"""calltap set, while a process is recorded."""
import signal

from process import Target, expect, finish


def test_filters(live):
    with Target(live) as target:
        tool = live.record(target.pid, "-F", "work")
        target.obey("calls 10")
        live.done("set", target.pid, "-F", "leaf")
        target.obey("calls 20")
        live.done("set", target.pid, "--all", "-N", "leaf")
        target.obey("calls 40")
        live.done("set", target.pid, "-N", "leaf", "-N", "work")
        target.obey("calls 80")
        live.done("set", target.pid, "--all")
        target.obey("calls 160")
        finish(tool, signal.SIGINT)
        reported = live.reported()
        expect(reported["work"] == 3 and reported["leaf"] == 180, reported)


def test_off_and_on(live):
    with Target(live) as target:
        tool = live.record(target.pid)
        target.obey("calls 10")
        live.done("set", target.pid, "--off")
        target.obey("calls 100")
        live.done("set", target.pid, "--off")
        live.done("set", target.pid, "--on")
        target.obey("calls 1000")
        live.done("set", target.pid, "--on")
        finish(tool, signal.SIGINT)
        expect(live.reported()["leaf"] == 1010, live.reported())


def test_filter_while_off(live):
    with Target(live) as target:
        tool = live.record(target.pid)
        live.done("set", target.pid, "--off", "-F", "work")
        target.obey("calls 10")
        expect(live.status(target.pid)["recording"] == "paused", live.status(target.pid))
        live.done("set", target.pid, "--on")
        target.obey("calls 10")
        finish(tool, signal.SIGINT)
        expect(live.reported() == {"work": 1}, live.reported())


def test_on_full(live):
    with Target(live) as target:
        tool = live.record(target.pid, "--on-full", "discard", "--buffer", "128K", "-F", "leaf")
        live.done("set", target.pid, "--on-full", "wait")
        expect(live.status(target.pid)["buffers"]["on_full"] == "wait", live.status(target.pid))
        target.obey("calls 200000")
        expect(live.status(target.pid)["buffers"]["discarded"] == 0, live.status(target.pid))
        live.done("set", target.pid, "--on-full", "discard")
        expect(live.status(target.pid)["buffers"]["on_full"] == "discard", live.status(target.pid))
        finish(tool, signal.SIGINT)
        expect(live.reported()["leaf"] == 200_000, live.reported())
        tool = live.record(target.pid, "--on-full", "flight")
        live.refused("set", target.pid, "--on-full", "wait", says=["flight"])
        finish(tool, signal.SIGINT)


def test_filter_waits_for_a_module(live):
    with Target(live) as target:
        tool = live.record(target.pid, "-F", "work")
        live.done("set", target.pid, "-F", "leaf", "-F", "plugin")
        target.obey(f"load {live.programs / 'pad/plugin.so'}")
        target.obey("plugin 12")
        target.obey("calls 3")
        finish(tool, signal.SIGINT)
        expect(live.reported() == {"leaf": 3, "plugin": 12}, live.reported())


def test_refused(live):
    """What is wrong is said, and nothing changes."""
    with Target(live) as target:
        live.refused("set", target.pid, "-F", "leaf", says=["not attached"])
        live.done("attach", target.pid)
        for words in (["-F", "leaf"], ["--off"], ["--on"], ["--on-full", "wait"]):
            live.refused("set", target.pid, *words, says=[target.pid, "not being recorded"])
        tool = live.record(target.pid, "-F", "leaf")
        live.refused("set", target.pid, "-F", "laef", says=["laef", "leaf"])
        live.refused("set", target.pid, "-F", "[a", says=["[a"], status=2)
        live.refused("set", target.pid, says=["nothing to set", "--help"], status=2)
        live.refused("set", target.pid, "--on", "--off", says=["--on", "--off", "--help"], status=2)
        live.refused("set", target.pid, "--all", "-F", "leaf", says=["--all", "--help"], status=2)
        live.refused("set", target.pid, "--on-full", "flight", says=["flight", "--help"], status=2)
        target.obey("calls 10")
        finish(tool, signal.SIGINT)
        expect(live.reported() == {"leaf": 10}, live.reported())
