"""The process that `calltap record` runs."""
import os
import pathlib
import time

import exec_wrapper

PATIENCE_SECONDS = 20


def is_recorded(pid):
    """Not what lists the program's libraries for the tool: with an emulator that is the same program."""
    return b"\0CALLTAP_SESSION=" in b"\0" + pathlib.Path(f"/proc/{pid}/environ").read_bytes()


def find_target(tool, name):
    """The child of the tool that runs the program of this name, or None."""
    name = exec_wrapper.executable_name(name)
    for child in pathlib.Path(f"/proc/{tool}/task/{tool}/children").read_text().split():
        try:
            if os.path.basename(os.readlink(f"/proc/{child}/exe")) == name and is_recorded(child):
                return int(child)
        except OSError:
            continue  # it has just ended
    return None


def wait_for_target(tool, name):
    for _ in range(PATIENCE_SECONDS * 20):
        target = find_target(tool, name)
        if target is not None:
            return target
        time.sleep(0.05)
    raise RuntimeError(f"calltap record did not start {name}")
