"""What cannot be done is refused before anything is done, with the reason and what to do."""
import os
import pathlib
import shutil
import signal
import subprocess

from process import Target, expect


def refused(injection, pid, *parts, **options):
    result = injection.call(pid, **options)
    expect(isinstance(result, str) and all(part in result for part in parts), f"not {parts}: {result}")


def test_no_such_process(injection):
    process = subprocess.Popen(["true"])
    process.wait()
    refused(injection, process.pid, "no such process")
    refused(injection, 0, "no such process")
    refused(injection, -1, "no such process")


def test_zombie(injection):
    process = subprocess.Popen(["true"])
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    refused(injection, process.pid, "zombie")
    process.wait()


def test_thread_instead_of_process(injection):
    with Target(injection, "poll", "threads=2") as target:
        target.wait_until(lambda: len(os.listdir(f"/proc/{target.pid}/task")) == 2, "two threads")
        thread = max(int(name) for name in os.listdir(f"/proc/{target.pid}/task"))
        refused(injection, thread, f"a thread of process {target.pid}")


def test_kernel_thread(injection):
    for status in pathlib.Path("/proc").glob("[0-9]*/status"):
        text = status.read_text()
        if "VmSize" not in text and "State:\tZ" not in text:
            refused(injection, int(status.parent.name), "a thread of the kernel")
            return None
    return "no kernel thread is to be seen here"


def test_stopped(injection):
    with Target(injection, "poll") as target:
        os.kill(target.pid, signal.SIGSTOP)
        target.wait_until(lambda: "State:\tT" in pathlib.Path(f"/proc/{target.pid}/status").read_text(), "stopped")
        refused(injection, target.pid, "stopped by a signal", f"kill -CONT {target.pid}")
        os.kill(target.pid, signal.SIGCONT)


def test_traced_by_another(injection):
    if shutil.which("gdb") is None:
        return "no gdb"
    with Target(injection, "poll") as target:
        debugger = subprocess.Popen(["gdb", "-q", "-nx", "-p", str(target.pid)], stdin=subprocess.PIPE,
                                    stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        target.wait_until(lambda: "TracerPid:\t0\n" not in pathlib.Path(f"/proc/{target.pid}/status").read_text(), "traced")
        refused(injection, target.pid, f"traced by process {debugger.pid} (gdb)")
        debugger.communicate(b"detach\nquit\n")
    return None


def test_strict_seccomp(injection):
    with Target(injection, "strict_seccomp", ends=False) as target:
        target.wait_until(lambda: "Seccomp:\t1" in pathlib.Path(f"/proc/{target.pid}/status").read_text(), "strict mode")
        refused(injection, target.pid, "seccomp's strict mode")


def test_seccomp_filter(injection):
    with Target(injection, "seccomp_filter") as target:
        target.wait_until(lambda: "Seccomp:\t2" in pathlib.Path(f"/proc/{target.pid}/status").read_text(), "a filter")
        refused(injection, target.pid, "seccomp filter")


def test_static(injection):
    with Target(injection, "poll", command=[str(injection.programs / "target_static")]) as target:
        refused(injection, target.pid, "static program")


def refused_program(injection, name, *parts):
    process = subprocess.Popen([str(injection.programs / name)])
    while os.readlink(f"/proc/{process.pid}/exe") != str(injection.programs / name):
        pass
    refused(injection, process.pid, *parts)
    process.kill()
    process.wait()


def test_32_bit(injection):
    refused_program(injection, "target_32", "32-bit program")


def test_musl(injection):
    refused_program(injection, "target_musl", "uses musl", "only glibc")


def test_first_thread_ended(injection):
    with Target(injection, "first_thread_ended", ends=False) as target:
        target.wait_until(lambda: "State:\tZ" in pathlib.Path(f"/proc/{target.pid}/status").read_text(), "ended")
        refused(injection, target.pid, "has ended its first thread")


def test_other_user(injection):
    if os.geteuid() != 0:
        return "only root can become another user"
    shutil.copy(injection.programs / "call_in", injection.folder)
    injection.folder.chmod(0o755)
    with Target(injection, "poll") as target:
        result = subprocess.run([str(injection.folder / "call_in"), str(target.pid), str(injection.library), "x", "y", "1"],
                                user=65534, group=65534, extra_groups=[], capture_output=True, text=True, check=False)
        expect("belongs to user root: become that user or root" in result.stdout, f"{result}")
    return None


def test_not_dumpable(injection):
    if os.geteuid() != 0:
        return "needs a second user"
    for name in ("call_in", "target"):
        shutil.copy(injection.programs / name, injection.folder)
    injection.folder.chmod(0o755)
    as_nobody = {"user": 65534, "group": 65534, "extra_groups": []}
    process = subprocess.Popen([str(injection.folder / "target"), "not_dumpable"], stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE, text=True, **as_nobody)
    process.stdout.readline()
    status = pathlib.Path(f"/proc/{process.pid}/exe")
    while os.stat(status.parent / "status").st_uid != 0:
        pass
    result = subprocess.run([str(injection.folder / "call_in"), str(process.pid), str(injection.library), "x", "y", "1"],
                            capture_output=True, text=True, check=False, **as_nobody)
    process.communicate("x")
    expect("not dumpable" in result.stdout, f"{result}")
    return None


def test_no_library(injection):
    with Target(injection, "poll") as target:
        refused(injection, target.pid, "No such file", library="/nowhere/lib.so")
