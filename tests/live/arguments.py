"""--args: what calls are shown with, live and in recordings, with debug information and without."""
import json
import re
import signal

from process import Target, complaints, expect, finish

PROGRAM = "pad/arguments"
FUNCTIONS = [word for name in ("numbers", "floats", "aggregates", "returned", "variadic", "many", "wide", "apply",
                               "no_parameters", "hidden", "Shape::*") for word in ("-F", name)]

CALLS = [
    "numbers(a=-5, b=18446744073709551615, c=-3, d=200, e=-1, f=0x1234)",
    r"floats(a=1.5, b=7, c=-2.25, d='\x1b', e=true, f=-2)",
    "aggregates(p=..., a=11, q=..., b=12, r=..., c=0.5)",
    "returned(a=21)",
    "variadic(n=31, ...)",
    "many(a=1, b=2, c=3, d=4, e=5, f=6, g=..., h=...)",
    "wide(a=..., b=..., c=51)",
    "apply(function=0xHEX, c='A')",
    "no_parameters()",
    "Shape::scale(this=0xHEX, by=41) const",
    "Shape::combine(object=..., n=61, reference=0xHEX)",
]


def without_addresses(text):
    return re.sub(r"0x[0-9a-f]{6,}", "0xHEX", text)


def calls_of(text, mark):
    """The calls that a view shows, without what comes before and behind them."""
    lines = [line.split(mark, 1)[1].strip() for line in text.splitlines() if mark in line and not line.startswith("#")]
    return [without_addresses(re.sub(r"(;| \{)$", "", line)) for line in lines if not line.startswith("}")]


def expect_calls(calls):
    """All but the last, of whose function a compiler may have made another."""
    expect(calls[:-1] == CALLS, "\n".join(map(repr, calls)))
    expect(calls[-1].startswith("hidden("), calls[-1])


def watched(live, program, *options):
    with Target(live, program) as target:
        tool = live.start("trace", target.pid, "--args", *FUNCTIONS, *options)
        live.wait_for_recording(target.pid)
        target.obey("calls")
        output, errors = finish(tool, signal.SIGINT)
        expect(not complaints(errors), errors)
        live.verified(target.pid)
    return output


def test_replay(live):
    for build in ("pad", "clang"):
        tool = live.run("record", "-o", live.directory, "--args", *FUNCTIONS, "--", live.programs / f"{build}/arguments",
                        input="calls\n")
        expect(tool.returncode == 0, tool.stderr)
        # Not from the program's file, which may be elsewhere by then.
        expect_calls(calls_of(live.done("replay", live.directory), "|"))


def test_attached_recording(live):
    with Target(live, PROGRAM) as target:
        tool = live.record(target.pid, "--args", *FUNCTIONS)
        target.obey("calls")
        finish(tool, signal.SIGINT)
        live.verified(target.pid)
    expect_calls(calls_of(live.done("replay", live.directory), "|"))
    reported = live.reported()
    expect(reported["numbers"] == 1 and len(reported) == 12, reported)


def test_snapshot(live):
    with Target(live, PROGRAM) as target:
        live.done("attach", target.pid, "--flight", "--args", *FUNCTIONS)
        target.obey("calls")
        live.done("snapshot", target.pid, "-o", live.directory)
        live.done("detach", target.pid)
    expect_calls(calls_of(live.done("replay", live.directory), "|"))


def test_trace_graph(live):
    expect_calls(calls_of(watched(live, PROGRAM, "--graph"), "|"))


def test_trace_lines(live):
    output = watched(live, PROGRAM)
    shown = [without_addresses(line) for line in output.splitlines() if not re.search(r" < ", line)]
    for call in CALLS:
        expect(sum(line.endswith(" " + call) for line in shown) == 1, f"{call}\n{output}")


def test_trace_json(live):
    lines = list(map(json.loads, watched(live, PROGRAM, "--json").splitlines()))
    calls = {line["function"]: line for line in lines if "arguments" in line}
    values = {argument["name"]: argument["value"] for argument in calls["floats"]["arguments"]}
    expect(values == {"a": 1.5, "b": 7, "c": -2.25, "d": r"'\x1b'", "e": True, "f": -2}, values)
    types = [argument["type"] for argument in calls["numbers"]["arguments"]]
    expect(types[0] == "int" and types[2].startswith("short") and types[5] == "const void *", types)
    expect(calls["numbers"]["arguments"][1]["value"] == 2**64 - 1, calls["numbers"])
    expect(calls["many"]["arguments"][7] == {"name": "h", "type": "int", "value": None}, calls["many"])
    expect(all("arguments" not in line for line in lines if line["kind"] == "exit"), lines)


def test_without_debug_information(live):
    output = watched(live, "stripped/arguments", "-F", "numbers")
    line = next(line for line in output.splitlines() if "numbers()" in line)
    expect(re.search(r"numbers\(\) \[rdi=0xfffffffb rsi=0xffffffffffffffff rdx=0x[0-9a-f]*fffd rcx=0xc8 "
                     r"r8=0xffffffffffffffff r9=0x1234\]", line), line)
    lines = list(map(json.loads, watched(live, "stripped/arguments", "--json").splitlines()))
    registers = next(line for line in lines if line["function"] == "numbers")["registers"]
    expect(registers["r9"] == "0x1234" and len(registers) == 6, registers)


def test_not_asked_for(live):
    with Target(live, PROGRAM) as target:
        tool = live.record(target.pid, *FUNCTIONS)
        target.obey("calls")
        finish(tool, signal.SIGINT)
    replayed = live.done("replay", live.directory)
    expect("numbers()" in replayed and "0x1234" not in replayed, replayed)


def test_changed_filter(live):
    """Functions that are recorded from now on have arguments too, and those that are not cost nothing."""
    with Target(live, PROGRAM) as target:
        tool = live.record(target.pid, "--args", "-F", "many")
        live.done("set", target.pid, "-F", "returned")
        target.obey("calls")
        live.done("set", target.pid, "--off")
        target.obey("calls")
        finish(tool, signal.SIGINT)
    replayed = calls_of(live.done("replay", live.directory), "|")
    expect(replayed == ["returned(a=21)"], replayed)
    expect(live.info()["events"] == 3, live.info())
