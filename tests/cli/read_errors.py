"""What report, replay, graph and info say to bad input, and that their output is what it claims to be."""
import csv
import io
import json
import subprocess

from session import expect, expect_refused, expect_usage_error

READERS = ("report", "replay", "graph", "info")


def read(session, command, *words):
    return session.run([session.calltap, command, *[str(word) for word in words]])


def record(session, *arguments):
    process = session.record([], "calls_many", *(arguments or ("10",)))
    expect(process.returncode == 0, process.stderr)


def test_no_command(session):
    expect_usage_error(session.run([session.calltap]), "command", "record", "report")
    expect_usage_error(session.run([session.calltap, "explode"]), "explode", "no such command", "record", "report")
    expect_usage_error(session.run([session.calltap, "--explode"]), "--explode")


def test_help_and_version(session):
    for words in (["--help"], ["--version"], *([command, "--help"] for command in ("list", "record", *READERS))):
        process = session.run([session.calltap, *words])
        expect(process.returncode == 0 and process.stdout and not process.stderr, f"{words}: {process}")


def test_no_such_directory(session):
    for command in READERS:
        expect_refused(read(session, command, "absent"), "absent", "No such file")
        expect_refused(read(session, command), "calltap.data", "No such file")


def test_not_a_recording(session):
    (session.folder / "empty").mkdir()
    (session.folder / "file").write_text("words")
    other = session.folder / "other"
    other.mkdir()
    (other / "metadata").write_text("/* CTF 1.8 */")
    for command in READERS:
        expect_refused(read(session, command, "empty"), "empty", "not a calltap recording")
        expect_refused(read(session, command, "file"), "file", "not a directory")
        expect_refused(read(session, command, "other"), "other", "another tracer", "babeltrace2")


def test_bad_option_values(session):
    record(session)
    for command, option, values, wanted in (
            ("report", "--sort", ("words", "", "TOTAL"), "total, self, calls"),
            ("report", "--limit", ("-1", "x", "1.5", "", "99999999999999999999"), "whole number from 0"),
            ("report", "--format", ("xml", ""), "text, json, csv"),
            ("graph", "--format", ("csv", ""), "text, json"),
            ("info", "--format", ("csv",), "text, json"),
            ("replay", "--tid", ("0", "-1", "x", ""), "whole number from 1"),
            ("replay", "--depth", ("-1", "x"), "whole number from 0"),
            ("graph", "--depth", ("-1", "x"), "whole number from 0"),
            ("replay", "--min-time", ("-1", "x", "5x", "5 ms", "inf", "1e30s"), "1.5ms"),
            ("graph", "--min-time", ("-1", "", "ms"), "1.5ms")):
        for value in values:
            words = [f"{option}={value}"] if value else [option, ""]
            expect_usage_error(read(session, command, session.directory, *words), option, f'"{value}"', wanted)
        expect_usage_error(read(session, command, session.directory, option), option, "the value is missing")
    for command in READERS:
        expect_usage_error(read(session, command, session.directory, "--explode"), "--explode")
        expect_usage_error(read(session, command, session.directory, "another"), "another")


def test_good_option_values(session):
    record(session)
    for command, *words in (("report", "--limit", 0), ("replay", "--depth", 0), ("graph", "--depth", 0),
                            ("replay", "--min-time", 0), ("replay", "--min-time", "1.5us"),
                            ("graph", "--min-time", "0.001ms"), ("graph", "--min-time", "20")):
        process = read(session, command, session.directory, *words)
        expect(process.returncode == 0 and process.stderr == "", f"{command} {words}: {process.stderr}")


def test_min_time_has_units(session):
    record(session)
    whole = read(session, "replay", session.directory).stdout
    for times in ("0", "0ns", "0.000s"):
        expect(read(session, "replay", session.directory, "--min-time", times).stdout == whole, times)
    expect("(" not in read(session, "replay", session.directory, "--min-time", "1000s").stdout, "no call lasts 1000 s")


def test_no_such_function(session):
    record(session)
    for command in ("report", "replay", "graph"):
        process = read(session, command, session.directory, "-F", "wrok")
        expect_refused(process, "wrok", "did you mean", "work")
        expect(process.stdout == "", f"{command} prints {process.stdout!r} all the same")
    expect_refused(read(session, "report", session.directory, "-N", "*"), "leave no function")


def test_filter_syntax(session):
    record(session)
    for command in ("report", "replay", "graph"):
        process = read(session, command, session.directory, "-F", "wo[rk")
        expect_usage_error(process, "wo[rk")
        lines = process.stderr.splitlines()
        expect(lines[2].index("^") == lines[1].index("wo[rk") + 2, f"the caret is elsewhere: {process.stderr}")


def test_no_such_thread(session):
    record(session)
    expect_refused(read(session, "replay", session.directory, "--tid", 1), "no thread 1", "calltap info")


def test_limit(session):
    record(session)
    rows = read(session, "report", session.directory, "--format", "csv").stdout.splitlines()[1:]
    limited = read(session, "report", session.directory, "--limit", 1)
    expect(len(limited.stdout.splitlines()) == 3 and "more functions" in limited.stdout, limited.stdout)
    for limit in (0, len(rows), len(rows) + 1):
        process = read(session, "report", session.directory, "--limit", limit)
        expect(len(process.stdout.splitlines()) == len(rows) + 1, f"--limit {limit}: {process.stdout}")


def test_report_formats_agree(session):
    record(session)
    for threads in ((), ("--threads",)):
        answer = json.loads(read(session, "report", session.directory, "--format", "json", *threads).stdout)
        tables = answer["threads"] if threads else [answer]
        functions = [function for table in tables for function in table["functions"]]
        text = read(session, "report", session.directory, "--format", "csv", *threads).stdout
        rows = list(csv.DictReader(io.StringIO(text), strict=True))
        expect(len(rows) == len(functions) > 0, f"{len(rows)} rows, {len(functions)} objects")
        for row, function in zip(rows, functions):
            for key, value in function.items():
                shown = hex(value) if key == "address" else "" if value is None else str(value)
                expect(row[key] == shown, f"{key}: {row[key]!r} in CSV, {value!r} in JSON")


def test_json_of_every_reader(session):
    record(session)
    for command in ("report", "graph", "info"):
        expect(json.loads(read(session, command, session.directory, "--format", "json").stdout), f"{command}: nothing")


def test_closed_pipe_ends_quietly(session):
    record(session, "20000")
    for command in ("report", "replay", "graph", "info"):
        words = [session.calltap, command, str(session.directory)]
        with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            process.stdout.read(1 if command == "replay" else 0)
            process.stdout.close()
            errors = process.stderr.read()
            status = process.wait(timeout=60)
        expect((status, errors) == (0, b""), f"{command}: status {status}, {errors}")


def test_full_disk(session):
    record(session)
    for command in READERS:
        with open("/dev/full", "w", encoding="utf-8") as full:
            process = subprocess.run([session.calltap, command, str(session.directory)], stdout=full,
                                     stderr=subprocess.PIPE, text=True, check=False)
        expect_refused(process, "cannot write the output", "No space left")
