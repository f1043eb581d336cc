"""Recordings that are not whole: what can be read is shown, what is missing is said, and the status is 1."""
import json
import os
import shutil
import signal
import struct
import time

from session import expect, expect_refused

PACKET_BYTES = 65536
READERS = ("report", "replay", "graph", "info")


def read(session, command, *words):
    return session.run([session.calltap, command, str(session.directory), *words])


def record(session):
    process = session.record([], "calls_many", "1000")
    expect(process.returncode == 0, process.stderr)
    return session.processes()[0]


def expect_partly_shown(session, *words):
    """Every reader shows what there is, says what is not, and ends with 1."""
    for command in READERS:
        process = read(session, command)
        expect_refused(process, *words)
        expect(process.returncode == 1, f"{command}: status {process.returncode}")
        expect("main" in process.stdout or command == "info", f"{command} shows nothing of what is there")


def test_truncated_stream(session):
    stream = next(record(session).glob("thread-*"))
    os.truncate(stream, stream.stat().st_size - 4)
    expect_partly_shown(session, "damaged", "truncated", stream.name)


def test_stream_cut_between_packets(session):
    expect(session.record([], "calls_many", "20000").returncode == 0, "the recording failed")
    stream = next(session.processes()[0].glob("thread-*"))
    with stream.open("rb") as file:
        (packet_bits,) = struct.unpack_from("<Q", file.read(80), 48)
    expect(packet_bits // 8 < stream.stat().st_size, "the stream has one packet only")
    os.truncate(stream, packet_bits // 8)
    expect_partly_shown(session, "has lost", "bytes")
    os.truncate(stream, 0)
    for command in READERS:
        expect_refused(read(session, command), "has lost", "bytes")


def test_stream_of_something_else(session):
    stream = next(record(session).glob("thread-*"))
    stream.write_bytes(b"these are words\n" * 100)
    for command in READERS:
        expect_refused(read(session, command), "damaged", stream.name)


def test_missing_metadata(session):
    (record(session) / "metadata").unlink()
    expect_partly_shown(session, "metadata", "No such file", "babeltrace2")
    answer = json.loads(read(session, "info", "--format", "json").stdout)
    expect("metadata" in answer["problems"][0], answer["problems"])


def test_empty_metadata(session):
    (record(session) / "metadata").write_text("")
    expect_partly_shown(session, "metadata is empty", "babeltrace2")


def test_foreign_metadata(session):
    first = record(session)
    whole = (first / "metadata").read_text()
    description = json.loads((first / ".calltap" / "process.json").read_text())
    uuid = description["uuid"]
    dashed = "-".join((uuid[:8], uuid[8:12], uuid[12:16], uuid[16:20], uuid[20:]))
    for text in ("words", whole[:-20], whole.replace(dashed, "01234567-89ab-4def-8123-456789abcdef")):
        expect(text != whole, "nothing was changed")
        (first / "metadata").write_text(text)
        expect_partly_shown(session, "metadata is damaged or of another trace", "babeltrace2")


def test_missing_description(session):
    (record(session) / ".calltap" / "process.json").unlink()
    for command in READERS:
        expect_refused(read(session, command), "process.json")


def test_missing_session_description(session):
    record(session)
    (session.directory / ".calltap" / "session.json").unlink()
    expect_partly_shown(session, "session.json")


def set_version(file, version):
    description = json.loads(file.read_text())
    description["version"] = version
    description["tool_version"] = "7.8.9"
    file.write_text(json.dumps(description))


def test_other_versions_are_refused_with_what_to_do(session):
    first = record(session)
    for version, word in ((0, "older"), (99, "newer")):
        for file in (session.directory / ".calltap" / "session.json", first / ".calltap" / "process.json"):
            kept = file.read_text()
            set_version(file, version)
            for command in (*READERS, "list"):
                process = read(session, command)
                expect_refused(process, f"trace format {version}", word, "read it with calltap 7.8.9")
                expect(process.stdout == "", f"{command} shows {process.stdout!r}")
            file.write_text(kept)


def record_until_the_tool_is_killed(session):
    tool = session.start([], "calls_many", "100000", "forever")
    try:
        expect(tool.stdout.readline() == "ready\n", "the program did not start")
        # The tool may be killed in the middle of a packet: not the first.
        while not any(stream.stat().st_size > PACKET_BYTES for stream in session.directory.glob("*/thread-*")):
            time.sleep(0.01)
        tool.kill()
        tool.wait()
    finally:
        os.killpg(tool.pid, signal.SIGKILL)
        tool.communicate()


def test_killed_tool_leaves_a_recording_that_says_it_was_never_closed(session):
    record_until_the_tool_is_killed(session)
    expect_partly_shown(session, "never closed", "missing", "not counted")
    text = read(session, "info").stdout
    expect("closed         no" in text and "not counted" in text, text)
    for command in ("info", "report"):
        expect(json.loads(read(session, command, "--format", "json").stdout)["closed"] is False, command)


def test_closed_recording_says_so(session):
    record(session)
    expect("closed         yes" in read(session, "info").stdout, "info")
    for command in ("info", "report"):
        expect(json.loads(read(session, command, "--format", "json").stdout)["closed"] is True, command)


def test_one_process_that_is_not_closed(session):
    file = record(session) / ".calltap" / "process.json"
    description = json.loads(file.read_text())
    description["end"] = {"kind": "running", "value": 0}
    file.write_text(json.dumps(description))
    expect_partly_shown(session, "never closed")


def test_copy_elsewhere_is_whole(session):
    record(session)
    moved = session.folder / "moved"
    shutil.copytree(session.directory, moved)
    session.directory = moved
    for command in READERS:
        process = read(session, command)
        expect(process.returncode == 0 and process.stderr == "", f"{command}: {process.stderr}")
