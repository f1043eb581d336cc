"""Either side ends in the middle: the other goes on, and what it has is whole."""
import signal

from process import Target, complaints, expect, finish, wait_until

COMMANDS = {"trace": ["trace"], "stat": ["stat", "--json", "--interval", "0.02"], "record": ["record", "-o", "recording"]}


def start(live, name, pid):
    words = COMMANDS[name]
    tool = live.start(words[0], "-p" if name == "record" else pid, *([pid] if name == "record" else []), *words[1:])
    live.wait_for_recording(pid)
    return tool


def target_ends(name, end):
    def test(live):
        with Target(live, ends=False) as target:
            target.obey("threads 2")
            live.done("attach", target.pid)
            tool = start(live, name, target.pid)
            target.obey("calls 50")
            if end == "killed":
                target.kill()
            else:
                target.order(end)
            output, errors = finish(tool)
            if name == "record":
                expect(live.reported()["leaf"] == 50, live.reported())
                process, = live.info()["processes"]
                expect(process["end"]["kind"] == "ended", process["end"])
            else:
                expect(f"process {target.pid} has ended" in errors, errors)
                expect("leaf" in output, output)
            expected = {"killed": -signal.SIGKILL, "crash": -signal.SIGABRT, "exit 3": 3}[end]
            expect(target.wait()[0] == expected, f"the target ended with {target.process.returncode}")
            live.refused("status", target.pid, says=["no such process"])
    return test


def tool_killed(name):
    """The process goes on; what the tool left behind is in nobody's way."""
    def test(live):
        with Target(live) as target:
            target.obey("threads 2")
            descriptors = target.descriptors()
            for _ in range(2):
                finish(start(live, name, target.pid), signal.SIGKILL, -signal.SIGKILL)
                target.obey("calls 50")
                expect(live.status(target.pid)["buffers"]["tool_gone"], live.status(target.pid))
                tool = live.start("record", "-p", target.pid, "-o", "second", "-F", "leaf", "-F", "work")
                wait_until(lambda: not live.status(target.pid)["buffers"]["tool_gone"], "recorded again")
                live.wait_for_recording(target.pid)
                target.obey("calls 60")
                finish(tool, signal.SIGINT)
                expect(live.reported(live.folder / "second") == {"leaf": 60, "work": 1}, live.reported(live.folder / "second"))
                live.done("detach", target.pid)
                live.verified(target.pid)
                expect(target.descriptors() == descriptors, f"{target.descriptors()}, before: {descriptors}")
            expect(target.ask("state").endswith(" disturbed 0"), "errno or a result was not kept")
    return test


for command in COMMANDS:
    globals()[f"test_tool_killed_{command}"] = tool_killed(command)
    for how in ("exit 3", "crash", "killed"):
        globals()[f"test_target_{how.split()[0]}_{command}"] = target_ends(command, how)


def test_tool_killed_and_detached(live):
    """Nobody records again: detach alone cleans up."""
    with Target(live) as target:
        target.obey("threads 2")
        finish(start(live, "record", target.pid), signal.SIGKILL, -signal.SIGKILL)
        target.obey("calls 50")
        live.done("detach", target.pid)
        live.verified(target.pid)


def test_tool_killed_while_the_process_waits_for_it(live):
    """With --on-full wait and the tool stopped, the process stands still; killed, it goes on."""
    with Target(live) as target:
        tool = live.record(target.pid, "--on-full", "wait", "--buffer", "128K")
        tool.send_signal(signal.SIGSTOP)
        target.order("calls 200000")
        finish(tool, signal.SIGKILL, -signal.SIGKILL)
        target.expect_line("calls 0")
        live.done("detach", target.pid)
        live.verified(target.pid)


def test_exec_while_traced(live):
    with Target(live) as target:
        tool = start(live, "trace", target.pid)
        target.obey("calls 3")
        target.order("exec 20")
        target.expect_line("ready")
        target.expect_line("calls 0")
        output, errors = finish(tool)
        expect("another program" in errors and output.count("leaf()") == 3, output + errors)
        live.verified(target.pid)


def test_detached_while_traced(live):
    with Target(live) as target:
        tool = start(live, "trace", target.pid)
        target.obey("calls 3")
        live.done("detach", target.pid)
        target.obey("calls 3")
        output, errors = finish(tool)
        expect("detached" in errors and output.count("leaf()") == 3, output + errors)
        live.verified(target.pid)


def test_fork_while_traced(live):
    """The child runs on unwatched, and its code can be given back too."""
    with Target(live) as target:
        tool = start(live, "trace", target.pid)
        target.obey("fork 20")
        child = int(target.ask("child").split()[1])
        target.obey("calls 3")
        output, errors = finish(tool, signal.SIGINT)
        expect(output.count("leaf()") == 3 and not complaints(errors), output + errors)
        expect(live.run("verify", child).returncode == 1, "the child has no hooks of its parent's")
        live.done("attach", child)
        live.done("detach", child)
        live.verified(child)
