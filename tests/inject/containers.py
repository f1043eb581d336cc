"""Targets that see another file system or other numbers of processes."""
import os
import pathlib
import shutil
import subprocess

from process import Target, expect
from states import calls


def root_with_program(injection):
    """A directory with the target and what it needs, and /tmp."""
    root = injection.folder / "root"
    (root / "tmp").mkdir(parents=True)
    binary = injection.programs / "target"
    needed = subprocess.run(["ldd", str(binary)], capture_output=True, text=True, check=True).stdout
    for word in [*needed.split(), str(binary)]:
        if word.startswith("/"):
            to = root / word.lstrip("/")
            to.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(word, to)
    return root, str(binary)


def test_chroot_without_proc(injection):
    if os.geteuid() != 0:
        return "chroot needs root"
    root, binary = root_with_program(injection)
    with Target(injection, "poll", command=["chroot", str(root), binary]) as target:
        target.wait_in_call(7)
        calls(injection, target)
        expect(not list((root / "tmp").iterdir()), "a file is left")
    return None


def test_chroot_with_nowhere_to_write(injection):
    if os.geteuid() != 0:
        return "chroot needs root"
    root, binary = root_with_program(injection)
    mounted = subprocess.run(["unshare", "-m", "sh", "-c",
                              f"mount --bind {root} {root} && mount -o remount,ro,bind {root}"], check=False)
    if mounted.returncode != 0:
        return "mount namespaces are not allowed here"
    script = f"mount --bind {root} {root} && mount -o remount,ro,bind {root} && exec chroot {root} {binary} poll"
    with Target(injection, command=["unshare", "-m", "sh", "-c", script]) as target:
        target.wait_in_call(7)
        result = injection.call(target.pid)
        expect(isinstance(result, str) and "no /proc in its root" in result, f"{result}")
    return None


def test_namespaces(injection):
    options = ["unshare", "-r", "-m", "-p", "-n", "-f", "--kill-child"]
    if subprocess.run([*options, "true"], check=False, capture_output=True).returncode != 0:
        return "namespaces are not allowed here"
    for mount in ([], ["--mount-proc"]):
        command = [*options, *mount, str(injection.programs / "target")]
        with Target(injection, "poll", command=command) as target:
            children = pathlib.Path(f"/proc/{target.pid}/task/{target.pid}/children").read_text().split()
            target.pid = int(children[0])
            target.wait_in_call(7)
            calls(injection, target)
    return None
