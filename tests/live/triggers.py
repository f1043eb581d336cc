"""--trigger and --while: what is recorded depends on which functions are called."""
import signal

from process import Target, expect, finish


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
