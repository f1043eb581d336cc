"""What the commands say to processes that they can do nothing with."""
import os
import signal
import subprocess

from process import Target, expect, finish, read, wait_until

NOBODY = 65534
COMMANDS = (["attach"], ["trace"], ["stat"], ["record", "-p"])
QUESTIONS = (["detach"], ["status"], ["set", "--off"])


def each(live, pid, commands, says, prefix=()):
    for words in commands:
        live.refused(*words, pid, says=says, prefix=prefix)
        expect(not (live.folder / "calltap.data").exists(), f"{words}: a recording was made all the same")


def test_no_such_process(live):
    gone = subprocess.Popen(["true"])
    gone.wait()
    each(live, gone.pid, [*COMMANDS, *QUESTIONS, ["verify"]], [gone.pid, "no such process"])


def test_no_number(live):
    for words in ([*COMMANDS, *QUESTIONS, ["verify"]]):
        live.refused(*words, "init", says=["init", "--help"], status=2)
    for words in (["attach"], ["detach"], ["status"], ["trace"], ["stat"], ["verify"], ["set", "--off"]):
        live.refused(*words, says=["--help"], status=2)


def test_without_sites(live):
    """Nothing there can be traced; a tool does not get in for nothing."""
    with Target(live, "none/target") as target:
        each(live, target.pid, COMMANDS[1:], [target.pid, "-fpatchable-function-entry"])
        each(live, target.pid, QUESTIONS, ["not attached"])
        live.verified(target.pid)


def test_static(live):
    with Target(live, "static/target") as target:
        each(live, target.pid, COMMANDS, [target.pid, "static"])
        expect("target" in read(f"/proc/{target.pid}/comm"), "the target has gone")


def test_kernel_thread(live):
    if os.geteuid() != 0 or "kthreadd" not in read("/proc/2/comm"):
        return "no kernel threads to be seen here"
    each(live, 2, COMMANDS, ["2"])
    return None


def test_stopped(live):
    """A process that a signal has stopped can neither be borrowed nor asked."""
    with Target(live) as target:
        target.kill(signal.SIGSTOP)
        wait_until(lambda: "State:\tT" in read(f"/proc/{target.pid}/status"), "stopped")
        each(live, target.pid, COMMANDS, [target.pid, "stopped", f"kill -CONT {target.pid}"])
        target.kill(signal.SIGCONT)
        live.done("attach", target.pid)
        target.kill(signal.SIGSTOP)
        wait_until(lambda: "State:\tT" in read(f"/proc/{target.pid}/status"), "stopped")
        each(live, target.pid, [*COMMANDS[1:], *QUESTIONS], [target.pid, "stopped", f"kill -CONT {target.pid}"])
        target.kill(signal.SIGCONT)
        live.done("detach", target.pid)


def as_nobody(live):
    return ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]


def test_another_user(live):
    """Neither attached to, nor asked, nor listened to; not even if it is attached."""
    if os.geteuid() != 0:
        return "needs root, to become another user"
    os.chmod(live.folder, 0o755)
    if subprocess.run([*as_nobody(live), live.calltap, "--version"], capture_output=True, check=False).returncode != 0:
        return "another user cannot execute the tool where it lies"
    with Target(live) as target:
        each(live, target.pid, [*COMMANDS, ["verify"]], [target.pid], as_nobody(live))
        live.done("attach", target.pid)
        each(live, target.pid, [*COMMANDS, *QUESTIONS, ["verify"]], [target.pid], as_nobody(live))
        expect(live.status(target.pid)["recording"] == "off", live.status(target.pid))
        live.done("detach", target.pid)
    return None


def test_root_and_the_process_of_a_user(live):
    """Root may: the process's own control thread trusts it."""
    if os.geteuid() != 0:
        return "needs root"
    os.chmod(live.folder, 0o755)
    if subprocess.run([*as_nobody(live), live.programs / "pad/target"], capture_output=True, stdin=subprocess.DEVNULL,
                      check=False).returncode != 0:
        return "another user cannot execute the programs where they lie"
    with Target(live, command=as_nobody(live)) as target:
        live.done("attach", target.pid)
        tool = live.record(target.pid)
        target.obey("calls 10")
        finish(tool, signal.SIGINT)
        expect(live.reported()["leaf"] == 10, live.reported())
        live.done("detach", target.pid)
        live.verified(target.pid)
    return None
