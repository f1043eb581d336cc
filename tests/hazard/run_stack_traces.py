#!/usr/bin/env python3
"""Records the stacks of a target's functions at_*, and compares them with what is known of them.

The names of the program's own functions in them are those of its call chains, and all addresses are those that
backtrace() finds in the functions themselves, which the program prints.
"""
import argparse
import pathlib
import re
import subprocess
import sys
import tempfile

import trace_events

MOST_FRAMES = 128
IN_MAIN = ["main"]
# What replay shows below the function: functions of the program; "..." where the chain was cut off.
EXPECTED = {
    "at_plain": [IN_MAIN],
    "at_deep": [["unhooked", "hooked", "sized", *IN_MAIN]],
    "at_qsort": [["compare", "sort", *IN_MAIN]],
    # On the thread's own stack, and on one of its own.
    "at_signal": [["handler", "interrupted", *IN_MAIN]] * 2,
    "at_coroutine": [["unhooked", "hooked", "coroutine"]],
    "at_thread": [["thread"]],
    "at_catch": [["catching", *IN_MAIN]],
    "at_tail": [IN_MAIN],
    "at_far_down": [["recursion"] * (MOST_FRAMES - 1) + ["..."]],
    "at_often": [IN_MAIN] * 10,
    "at_no_cfi": [["call_without_table", "..."]],
    "at_nowhere": [["call_with_frame_nowhere", "..."]],
    "at_circle": [["call_in_a_circle", "..."]],  # once or often, or it ends there
    "at_gone": [["call_with_return_gone", "..."]],
}


def record(calltap, program, directory, functions, triggers, *arguments):
    words = [calltap, "record", "-o", str(directory)]
    for pattern in functions:
        words += ["-F", pattern]
    for trigger in triggers:
        words += ["--trigger", trigger]
    process = subprocess.run([*words, "--", program, *arguments], capture_output=True, text=True, timeout=60, check=False)
    if process.returncode != 0:
        raise RuntimeError(f"{words}: status {process.returncode}: {process.stderr}")
    return process.stdout


def shown(calltap, directory, program):
    """What replay shows, by function: a list of stacks, each the names of the program's functions."""
    process = subprocess.run([calltap, "replay", str(directory)], capture_output=True, text=True, timeout=60, check=False)
    if process.returncode != 0 or process.stderr:
        raise RuntimeError(f"replay: status {process.returncode}: {process.stderr}")
    own = pathlib.Path(program).name
    stacks = {}
    stack = None
    for line in process.stdout.splitlines():
        text = line.split(" |  ", 1)[-1].strip()
        if found := re.fullmatch(r"/\* <- (.*) \*/", text):
            frame = found[1]
            named = re.fullmatch(r"(\S+?)(?:\.cold)?\+0x[0-9a-f]+ \[(\S+)\]", frame)
            if frame == "..." or (named and named[2] == own and named[1] != "_start"):
                stack.append(frame if frame == "..." else named[1])
        elif found := re.fullmatch(r"(?:/\* )?(at_\w+)\(\)(?:;| \{| \*/)", text):
            stack = []
            stacks.setdefault(found[1], []).append(stack)
    return stacks


def recorded_words(directory):
    """The stacks as they are in the streams: lists of addresses."""
    stacks = []
    for process in trace_events.process_directories(directory):
        stacks += [words for event, _, words in trace_events.words_of_process(process) if event == trace_events.STACK]
    return stacks


def compare(name, stacks, expected):
    got = stacks.get(name, [])
    if name == "at_tail":  # at -O0 the function that jumps is still there
        got = [[frame for frame in stack if frame != "jumping"] for stack in got]
    if name == "at_circle":
        got = [[*dict.fromkeys(stack), "..."][:2] for stack in got]
    if got != expected:
        yield f"{name}: {[x[:6] for x in got]} (depths {[len(x) for x in got]}), expected {[x[:6] for x in expected]}"


def check_addresses(directory, said):
    """Each line that the program printed is one of the recorded stacks, in whatever order threads wrote them."""
    recorded = [tuple(words[1:]) for words in recorded_words(directory)]
    for line in said.splitlines():
        name, *callers = line.split()
        wanted = tuple(int(caller, 16) for caller in callers)
        if name == "at_far_down":
            wanted = wanted[:MOST_FRAMES - 1]
        if wanted in recorded:
            recorded.remove(wanted)
        else:
            near = [[hex(a) for a in stack] for stack in recorded if stack[:1] == wanted[:1]]
            yield f"{name}: backtrace() says {callers}, recorded are {near}"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calltap", required=True)
    parser.add_argument("--no-backtrace", action="store_true", help="it finds less itself")
    parser.add_argument("--threads-cut-off", action="store_true", help="the C library has no table for what starts threads")
    parser.add_argument("--forbidden", action="store_true", help="also where process_vm_readv is refused")
    parser.add_argument("program")
    options = parser.parse_args()
    if options.threads_cut_off:
        EXPECTED["at_thread"] = [["thread", "..."]]
    problems = []
    with tempfile.TemporaryDirectory(prefix="calltap-stack-traces-") as folder:
        # What is recorded does not matter to who the callers are: nothing besides the stacks, or all functions.
        for number, functions in enumerate((["jumping"], [])):
            directory = pathlib.Path(folder) / str(number)
            said = record(options.calltap, options.program, directory, functions, ["at_*:stacktrace"])
            stacks = shown(options.calltap, directory, options.program)
            for name, expected in EXPECTED.items():
                problems += compare(name, stacks, expected)
            if not options.no_backtrace:
                problems += check_addresses(directory, said)
            if problems:
                break
        if options.forbidden:
            directory = pathlib.Path(folder) / "forbidden"
            said = record(options.calltap, options.program, directory, [], ["at_*:stacktrace"], "forbidden")
            problems += check_addresses(directory, said)
        directory = pathlib.Path(folder) / "count"
        record(options.calltap, options.program, directory, [], ["at_often:stacktrace:3"])
        count = len(recorded_words(directory))
        if count != 3:
            problems.append(f"{count} stacks, not 3")
    for problem in problems[:20]:
        print(problem, file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
