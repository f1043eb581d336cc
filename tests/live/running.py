"""calltap run, and processes that calltap record has started."""
import signal

from process import Target, expect, finish, wait_until


def test_run(live):
    """The program as without Calltap, and can be looked at without a thread of it being borrowed."""
    with Target(live, command=live.command("run", "--"), environment={"SOME_WORD": "some value"}) as target:
        expect(target.pid == target.process.pid, "another process than the one that was started")
        status = live.status(target.pid)
        expect(status["recording"] == "off" and status["ops"] == [], status)
        expect(sum(module["on"] for module in status["modules"]) == 0, status)
        expect(target.ask("environment SOME_WORD") == "some value", "the environment is not as it was")
        expect(live.done("attach", target.pid).startswith("already attached"), "attached once more")
        tool = live.record(target.pid)
        target.obey("calls 10")
        finish(tool, signal.SIGINT)
        expect(live.reported()["leaf"] == 10, live.reported())
        expect(target.has_control_thread(), "the runtime was there from the start and is to stay")
        live.done("detach", target.pid)


def test_run_verified(live):
    """Nothing is hooked, and no byte differs."""
    with Target(live, command=live.command("run", "--")) as target:
        live.verified(target.pid)


def test_run_exit_status(live):
    for command, status in (("exit 7", 7), ("crash", -signal.SIGABRT)):
        with Target(live, command=live.command("run", "--"), ends=False) as target:
            target.order(command)
            expect(target.wait()[0] == status, f"{command}: {target.process.returncode}")


def test_run_children(live):
    """What the program starts carries the runtime too; a forked child has it asleep."""
    with Target(live, command=live.command("run", "--")) as target:
        target.obey("calls 5")
        child = int(target.ask("child").split()[1])
        live.done("attach", child)
        live.status(child)
        live.done("detach", child)
        target.order("exec 20")
        target.expect_line("ready")
        target.expect_line("calls 0")
        expect(live.status(target.pid)["recording"] == "off", "the program that it has executed cannot be looked at")
        tool = live.record(target.pid)
        target.obey("calls 10")
        finish(tool, signal.SIGINT)
        expect(live.reported()["leaf"] == 10, live.reported())


def test_run_refused(live):
    live.refused("run", says=["PROGRAM", "missing", "--help"], status=2)
    live.refused("run", "--", "no_such_program", says=["no_such_program"])
    live.refused("run", "--", live.programs / "none/target", says=["-fpatchable-function-entry"])
    live.refused("run", "--", live.programs / "static/target", says=["static"])
    process = live.run("run", "--force", "--", live.programs / "none/target", input="exit 3\n")
    expect(process.returncode == 3 and process.stdout == "ready\nexit handlers\n", f"{process}")


def test_recorded_from_the_start(live):
    """Another tool can look at it, not record it; the recording does not notice."""
    command = live.command("record", "-o", live.directory, "--")
    with Target(live, command=command) as target:
        expect(target.pid != target.process.pid, "the tool, not the program")
        target.obey("calls 10")
        live.done("attach", target.pid)
        status = live.status(target.pid)
        expect(status["recording"] == "on" and status["ops"][0]["name"] == "recorder", status)
        expect(status["buffers"]["on_full"] == "wait", status)
        second = live.folder / "second"
        live.refused("record", "-p", target.pid, "-o", second, says=["being recorded"])
        live.refused("trace", target.pid, says=["being recorded"])
        live.done("set", target.pid, "--off")
        target.obey("calls 100")
        live.done("set", target.pid, "--on", "-N", "work")
        target.obey("calls 1000")
    expect(live.reported()["leaf"] == 1010 and live.reported()["work"] == 1, live.reported())


def test_recorded_from_the_start_and_again(live):
    """The first recording is stopped by its tool; then the process is recorded with -p."""
    command = live.command("record", "-o", live.directory, "--")
    with Target(live, command=command, ends=False) as target:
        target.obey("calls 10")
        target.process.kill()
        target.process.wait()
        second = live.folder / "second"
        tool = live.start("record", "-p", target.pid, "-o", second, "-F", "leaf")
        wait_until(lambda: live.run("status", target.pid).returncode == 0, "attached")
        wait_until(lambda: list(second.rglob("metadata")), "recorded again")
        live.wait_for_recording(target.pid)
        target.obey("calls 20")
        finish(tool, signal.SIGINT)
        expect(live.reported(second)["leaf"] == 20, live.reported(second))
        live.verified(target.pid)
