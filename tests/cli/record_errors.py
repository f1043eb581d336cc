"""What `calltap record` says to bad input: each with its own message, and nothing lost."""
import os
import subprocess

from session import expect, expect_exact, expect_refused


def test_no_such_program(session):
    expect_refused(session.record([], "no_such_program"), "no_such_program")
    expect(not session.directory.exists(), "a recording was made all the same")


def test_no_such_program_keeps_the_older_recording(session):
    expect(session.record([], "calls_many", "10").returncode == 0, "the first recording failed")
    expect_refused(session.record([], "no_such_program"), "no_such_program")
    expect(session.reported()["work"] == 10, "the older recording is gone")


def test_no_program_at_all(session):
    process = session.run([session.calltap, "record"])
    expect(0 < process.returncode < 128 and process.stderr, f"{process.returncode}: {process.stderr!r}")


def test_not_executable(session):
    program = session.folder / "plain"
    program.write_bytes((session.targets / "calls_many").read_bytes())
    program.chmod(0o644)
    expect_refused(session.record([], program), "plain")


def test_not_elf(session):
    program = session.folder / "words"
    program.write_text("these are words\n")
    program.chmod(0o755)
    expect_refused(session.record([], program), "words", "ELF")


def test_truncated_elf(session):
    program = session.folder / "cut"
    program.write_bytes((session.targets / "calls_many").read_bytes()[:100])
    program.chmod(0o755)
    expect_refused(session.record([], program), "cut")


def test_program_without_sites(session):
    expect_refused(session.record([], "../without_flags/without_sites", "10"), "-fpatchable-function-entry=18,16",
                   "CalltapInstrument.cmake")


def test_static_program(session):
    process = session.record([], "static_program", "10")
    if process.returncode == 0:
        expect_exact(session)
    else:
        expect_refused(process, "static")


def test_filter_matches_nothing(session):
    expect_refused(session.record(["-F", "wrok"], "calls_many", "10"), "wrok", "work")


def test_filter_removes_everything(session):
    expect_refused(session.record(["-N", "*"], "calls_many", "10"), "filter")


def test_filter_syntax(session):
    process = session.record(["-F", "wo[rk"], "calls_many", "10")
    expect_refused(process, "wo[rk", "^")
    lines = process.stderr.splitlines()
    shown = next(i for i, line in enumerate(lines) if "wo[rk" in line and i + 1 < len(lines) and "^" in lines[i + 1])
    expect(lines[shown + 1].index("^") == lines[shown].index("wo[rk") + 2, f"the caret is elsewhere: {process.stderr}")


def test_bad_size(session):
    for option in ("--buffer", "--max-size"):
        for size in ("words", "-1", "12X", "99999999999999999999G"):
            process = session.record([f"{option}={size}"], "calls_many", "10")
            expect(0 < process.returncode < 128 and process.stderr, f"{option} {size}: {process.returncode}")


def test_bad_mode(session):
    process = session.record(["--on-full", "explode"], "calls_many", "10")
    expect(0 < process.returncode < 128 and "explode" in process.stderr, process.stderr)


def test_output_below_a_file(session):
    (session.folder / "file").write_text("kept")
    session.directory = session.folder / "file" / "recording"
    expect_refused(session.record([], "calls_many", "10"), "file")
    expect((session.folder / "file").read_text() == "kept", "the file was changed")


def test_output_is_a_file(session):
    session.directory.write_text("kept")
    expect_refused(session.record([], "calls_many", "10"), "recording")
    expect(session.directory.read_text() == "kept", "the file was changed")


def test_output_is_a_foreign_directory(session):
    session.directory.mkdir()
    (session.directory / "precious").write_text("kept")
    process = session.record([], "calls_many", "10")
    kept = [path for path in session.folder.rglob("precious") if path.read_text() == "kept"]
    expect(kept, f"the files of a foreign directory are gone: {process.stderr}")


def full_disk(session):
    """A file system of 256 KiB, or False where we may not mount one."""
    disk = session.folder / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(disk)], capture_output=True,
                             check=False)
    session.directory = disk / "recording"
    return mounted.returncode == 0


def test_output_directory_is_full(session):
    if os.geteuid() != 0 or not full_disk(session):
        return "needs the right to mount a small file system"
    try:
        process = session.record([], "calls_many", "400000", "exit", "5")
        expect(process.returncode == 5, f"the program did not run on: {process.returncode} {process.stderr}")
        expect("No space left" in process.stderr, f"nothing is said of the full disk: {process.stderr!r}")
        counted = sum(session.counted().values())
        discarded = session.discarded()
        expect(discarded.get("write_error", 0) > 0, f"discarded {discarded}")
        total = session.events() + sum(discarded.values())
        expect(total == 2 * counted, f"{2 * counted} events happened, {total} are accounted for")
    finally:
        subprocess.run(["umount", str(session.folder / "disk")], check=False)
    return None
