"""How scripts start programs of the build: in a build for another machine by its emulator (tests/Programs.cmake)."""
import os

EXEC_WRAPPER = os.environ.get("CALLTAP_EXEC_WRAPPER", "").split()


def started(command):
    """The words to execute for the command, whose first word is a program of the build."""
    return [*EXEC_WRAPPER, *map(str, command)]


def executable_name(program):
    """The base name of what /proc/PID/exe of such a process points to."""
    return os.path.basename(EXEC_WRAPPER[0] if EXEC_WRAPPER else program)
