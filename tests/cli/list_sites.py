"""`calltap list`: programs, libraries, processes, recordings, formats, filters, and what it says to bad input."""
import csv
import io
import json
import os
import shutil
import signal
import subprocess

from session import exec_wrapper, expect, expect_refused


def run_list(session, *arguments):
    return session.run([session.calltap, "list", *[str(argument) for argument in arguments]])


def rows(session, *arguments):
    process = run_list(session, *arguments, "--format", "json")
    expect(process.returncode == 0, process.stderr)
    return json.loads(process.stdout)


def functions(session, *arguments):
    return {row["function"] for row in rows(session, *arguments)}


def program(session):
    return session.targets / "calls_many"


def expect_sites(session, listed):
    method = {"18,16": "pad", "4,2": "jump", "9,8": "jump"}[session.entry]
    calls = session.entry == "4,2"  # and the address is a multiple of 8
    found = {row["function"]: row for row in listed}
    expect({"main", "work"} <= set(found), f"only {sorted(found)}")
    for row in listed:
        expect(row["layout"].split("+")[0] == session.entry, str(row))
        may_call = calls and int(row["address"], 16) % 8 == 0
        expect(row["method"] == method + ("+call" if may_call else ""), str(row))
        expect(row["problem"] is None, str(row))


def test_program(session):
    expect_sites(session, rows(session, program(session)))


def test_addresses_are_those_of_nm(session):
    symbols = {}
    for line in subprocess.run(["nm", program(session)], capture_output=True, text=True, check=True).stdout.splitlines():
        fields = line.split()
        if len(fields) == 3:
            symbols[fields[2]] = int(fields[0], 16)
    for row in rows(session, program(session)):
        expect(int(row["address"], 16) == symbols[row["symbol"]], str(row))


def test_names_that_a_terminal_would_obey(session):
    """A symbol may hold anything; what is printed of it is text."""
    renamed = session.folder / "renamed"
    subprocess.run([os.environ.get("OBJCOPY", "objcopy"), "--redefine-sym", "work=w\x1b[31m\x9brk", program(session), renamed],
                   check=True)
    for form in "text", "csv", "json":
        process = session.run([session.calltap, "list", str(renamed), "--format", form])
        expect("w?[31m??rk" in process.stdout and "\x1b" not in process.stdout, f"{form}: {process.stdout}")


def test_formats_agree(session):
    listed = rows(session, program(session))
    table = list(csv.DictReader(io.StringIO(run_list(session, program(session), "--format", "csv").stdout)))
    expect([row["function"] for row in table] == [row["function"] for row in listed], "csv differs from json")
    text = run_list(session, program(session)).stdout.splitlines()
    expect(len(text) == len(listed) + 1, "text differs from json")
    for line, row in zip(text[1:], listed):
        expect(line.endswith(row["function"]) and int(line.split()[0], 16) == int(row["address"], 16), line)


def test_filters(session):
    expect(functions(session, program(session), "-F", "work") == {"work"}, "-F")
    every = functions(session, program(session))
    expect(functions(session, program(session), "-N", "w*") == {name for name in every if name[0] != "w"}, "-N")
    expect(functions(session, "-F", "calls_many:*", "-F", "!main", program(session)) == every - {"main"}, "module, !")


def test_stripped_program_has_offsets_for_names(session):
    stripped = session.folder / "stripped"
    subprocess.run([os.environ.get("STRIP", "strip"), "-s", "-o", stripped, program(session)], check=True)
    whole = rows(session, program(session))
    for row, truth in zip(rows(session, stripped), whole, strict=True):
        expect(row["address"] == truth["address"], str(row))
        expect(row["function"] in (truth["function"], f"stripped+{row['address']}"), str(row))


def start(session, path):
    """A program that waits for us, seen to be loaded."""
    process = subprocess.Popen([path, "10", "forever"], env=session.environment, stdout=subprocess.DEVNULL)
    while str(path) not in open(f"/proc/{process.pid}/maps", encoding="utf-8").read():
        expect(process.poll() is None, "the program ended")
    os.kill(process.pid, signal.SIGSTOP)
    return process


def test_process_has_runtime_addresses(session):
    if exec_wrapper.EXEC_WRAPPER:
        return "the process is the emulator's"
    process = start(session, program(session))
    try:
        text = [line.split() for line in open(f"/proc/{process.pid}/maps", encoding="utf-8") if " r-xp " in line]
        ranges = [[int(end, 16) for end in line[0].split("-")] for line in text]
        listed = rows(session, process.pid)
        expect_sites(session, [row for row in listed if row["module"] == "calls_many"])
        for row in listed:
            expect(any(low <= int(row["address"], 16) < high for low, high in ranges), f"{row} is not code there")
    finally:
        process.kill()
        process.wait()
    return None


def test_process_whose_program_was_deleted(session):
    if exec_wrapper.EXEC_WRAPPER:
        return "the process is the emulator's"
    copy = session.folder / "calls_copy"
    shutil.copy(program(session), copy)
    process = start(session, copy)
    try:
        copy.unlink()
        copy.write_text("something else by now")
        expect_sites(session, [row for row in rows(session, process.pid) if row["module"] == "calls_copy"])
    finally:
        process.kill()
        process.wait()
    return None


def test_recording(session):
    expect(session.record([], "calls_many", "10").returncode == 0, "the recording failed")
    expect_sites(session, [row for row in rows(session, session.directory) if row["module"] == "calls_many"])


def test_refusals(session):
    words = session.folder / "words"
    words.write_text("these are words\n")
    expect_refused(run_list(session, "no_such_program"), "no_such_program", "No such file")
    expect_refused(run_list(session, words), "words", "not an ELF file")
    expect_refused(run_list(session, session.folder), str(session.folder))
    expect_refused(run_list(session, 999999999), "999999999", "no such process")
    without = session.targets / "../without_flags/without_sites"
    expect_refused(run_list(session, without), f"-fpatchable-function-entry={session.entry}", "CalltapInstrument.cmake",
                   "--gc-sections")


def test_filter_that_matches_nothing(session):
    expect_refused(run_list(session, program(session), "-F", "wrok"), "wrok", "did you mean", "work")
    expect_refused(run_list(session, program(session), "-N", "*"), "leave no function")


def test_filter_syntax(session):
    process = run_list(session, program(session), "-F", "wo[rk")
    expect_refused(process, "wo[rk", "^")
    lines = process.stderr.splitlines()
    expect(lines[2].index("^") == lines[1].index("wo[rk") + 2, f"the caret is elsewhere: {process.stderr}")


def test_full_disk(session):
    process = subprocess.run([session.calltap, "list", program(session)], stdout=open("/dev/full", "w", encoding="utf-8"),
                             stderr=subprocess.PIPE, text=True, check=False)
    expect_refused(process, "cannot write")
