"""What `calltap record` says to bad input: each with its own message, and nothing lost."""
import os
import pathlib
import resource
import subprocess

from session import expect, expect_exact, expect_refused, expect_usage_error


def test_no_such_program(session):
    expect_refused(session.record([], "no_such_program"), "no_such_program")
    expect(not session.directory.exists(), "a recording was made all the same")


def test_no_such_program_keeps_the_older_recording(session):
    expect(session.record([], "calls_many", "10").returncode == 0, "the first recording failed")
    expect_refused(session.record([], "no_such_program"), "no_such_program")
    expect(session.reported()["work"] == 10, "the older recording is gone")


def test_no_function_can_be_patched(session):
    expect_refused(session.record([], "unpatchable"), "no function could be patched", "calltap list")


def test_no_such_wrapper(session):
    session.environment["CALLTAP_EXEC_WRAPPER"] = "no_such_wrapper -x"
    expect_refused(session.record([], "calls_many", "10"), "CALLTAP_EXEC_WRAPPER", "no_such_wrapper")
    expect(not session.directory.exists(), "a recording was made all the same")


def test_no_program_at_all(session):
    for words in ([], ["--"], ["-o", "elsewhere"]):
        process = session.run([session.calltap, "record", *words])
        expect_usage_error(process, "PROGRAM", "missing", "-- PROGRAM")


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
    expect_refused(session.record([], "../without_flags/without_sites", "10"), f"-fpatchable-function-entry={session.entry}",
                   "CalltapInstrument.cmake")


def test_static_program(session):
    expect_refused(session.record([], "static_program", "10"), "statically linked", "link the program dynamically")
    listed = session.run([session.calltap, "list", str(session.targets / "static_program")])
    expect(listed.returncode == 0 and "main" in listed.stdout, f"{listed.returncode}: {listed.stdout}")
    for word in ("statically linked", "cannot be recorded", "only be listed"):
        expect(word in listed.stderr, f"list does not say so: {listed.stderr!r}")
    dynamic = session.run([session.calltap, "list", str(session.targets / "calls_many")])
    expect(dynamic.stderr == "", f"list says of a dynamic program: {dynamic.stderr!r}")


def test_filter_matches_nothing(session):
    expect_refused(session.record(["-F", "wrok"], "calls_many", "10"), "wrok", "work")


def test_filter_removes_everything(session):
    expect_refused(session.record(["-N", "*"], "calls_many", "10"), "filter")


def test_filter_syntax(session):
    process = session.record(["-F", "wo[rk"], "calls_many", "10")
    expect_usage_error(process, "wo[rk", "^")
    lines = process.stderr.splitlines()
    shown = next(i for i, line in enumerate(lines) if "wo[rk" in line and i + 1 < len(lines) and "^" in lines[i + 1])
    expect(lines[shown + 1].index("^") == lines[shown].index("wo[rk") + 2, f"the caret is elsewhere: {process.stderr}")


def test_bad_size(session):
    for option in ("--buffer", "--max-size"):
        for size in ("words", "-1", "12X", "1.5M", "8MM", "", "99999999999999999999G", "0x100000"):
            words = [f"{option}={size}"] if size else [option, ""]
            expect_usage_error(session.record(words, "calls_many", "10"), option, f'"{size}"', "512K")


def test_size_out_of_range(session):
    for option, size, least, most in (("--buffer", "1", "128K", "128M"), ("--buffer", "127K", "128K", "128M"),
                                      ("--buffer", "129M", "128K", "128M"), ("--buffer", "1T", "128K", "128M"),
                                      ("--max-size", "1", "64K", "1024T"), ("--max-size", "0", "64K", "1024T"),
                                      ("--max-size", "99999999999T", "64K", "1024T")):
        process = session.record([option, size], "calls_many", "10")
        expect_usage_error(process, option, size, least, most)
        expect(not session.directory.exists(), f"{option} {size}: a recording was made all the same")


def test_size_at_the_ends_of_the_range(session):
    for option, size in (("--buffer", "128K"), ("--buffer", "131072"), ("--buffer", "128m"), ("--buffer", "128MiB"),
                         ("--max-size", "64KB"), ("--max-size", "1024T")):
        process = session.record([option, size], "calls_many", "10")
        expect(process.returncode == 0, f"{option} {size}: {process.stderr}")
        expect(session.reported()["work"] == 10, f"{option} {size}: {session.reported()}")


def test_bad_mode(session):
    for mode in ("explode", "0", "", "WAIT"):
        expect_usage_error(session.record(["--on-full", mode], "calls_many", "10"), "--on-full", f'"{mode}"',
                           "wait, discard, flight")


def test_unknown_option(session):
    expect_usage_error(session.record(["--explode"], "calls_many", "10"), ": --explode: not expected here")


def test_directory_that_is_an_option(session):
    expect_usage_error(session.run([session.calltap, "record", "-o", "--force", str(session.targets / "calls_many")]),
                       "-o", '"--force"', "./--force")


def test_pattern_that_is_missing(session):
    for option in ("-F", "-N"):
        expect_usage_error(session.record([option], "calls_many", "10"), option, "pattern")
        expect_usage_error(session.record([option, ""], "calls_many", "10"), option, "pattern")


def test_shared_library(session):
    expect_refused(session.record([], "modules/libmodule_a.so"), "shared library")


def expect_no_place(session, why):
    process = session.record([], "calls_many", "10")
    expect_refused(process, str(session.directory), why, "choose another place with -o")
    expect(process.returncode == 1, f"status {process.returncode}")
    expect(process.stderr.count("\n") == 1, f"more than one message: {process.stderr!r}")
    expect(session.counted()["work"] == 0, "the program ran all the same")


def test_output_has_no_name(session):
    process = session.run([session.calltap, "record", "-o", "", "--", str(session.targets / "calls_many"), "10"])
    expect_usage_error(process, "-o", "missing")


def test_output_in_a_file_system_without_directories(session):
    session.directory = pathlib.Path("/proc/x")
    expect_no_place(session, "No such file or directory")
    session.directory = pathlib.Path("/dev/null")
    expect_no_place(session, "exists and is not a recording")


def test_output_without_permission(session):
    if os.geteuid() != 0:
        return "needs root, to be somebody else"
    (session.folder / "private").mkdir(mode=0o755)
    session.folder.chmod(0o755)
    session.calls_file.chmod(0o666)
    session.directory = session.folder / "private" / "recording"
    if session.run(["true"], user=65534).returncode != 0 or session.run(
            [session.calltap, "--version"], user=65534).returncode != 0:
        return "another user cannot run calltap where it is"
    process = session.record([], "calls_many", "10", user=65534)
    expect_refused(process, str(session.directory), "Permission denied", "choose another place with -o")
    return None


def test_output_in_a_read_only_file_system(session):
    if os.geteuid() != 0 or not full_disk(session):
        return "needs the right to mount a small file system"
    disk = session.folder / "disk"
    try:
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        expect_no_place(session, "Read-only file system")
    finally:
        subprocess.run(["umount", str(disk)], check=False)
    return None


def test_older_recording_has_no_place(session):
    expect(session.record([], "calls_many", "10").returncode == 0, "the first recording failed")
    session.directory.with_name("recording.old").write_text("kept")
    expect_refused(session.record([], "calls_many", "20"), "recording.old", "choose another place with -o")
    expect(session.directory.with_name("recording.old").read_text() == "kept", "the file was changed")
    expect(session.reported()["work"] == 10, "the older recording is gone")


def test_output_below_a_file(session):
    (session.folder / "file").write_text("kept")
    session.directory = session.folder / "file" / "recording"
    expect_no_place(session, "Not a directory")
    expect((session.folder / "file").read_text() == "kept", "the file was changed")


def test_output_is_a_file(session):
    session.directory.write_text("kept")
    expect_no_place(session, "exists and is not a recording")
    expect(session.directory.read_text() == "kept", "the file was changed")


def test_output_is_a_foreign_directory(session):
    session.directory.mkdir()
    (session.directory / "precious").write_text("kept")
    process = session.record([], "calls_many", "10")
    kept = [path for path in session.folder.rglob("precious") if path.read_text() == "kept"]
    expect(kept, f"the files of a foreign directory are gone: {process.stderr}")


def test_file_size_limit(session):
    """calltap outlives SIGXFSZ and waits for the program, which runs unrecorded."""
    if resource.getrlimit(resource.RLIMIT_FSIZE)[1] != resource.RLIM_INFINITY:
        return "files are limited already"
    limited = ["bash", "-c", 'ulimit -f 2000; exec "$@"', "bash"]
    process = session.run(limited + session.command([], "calls_many", "10", "exit", "5"))
    expect(process.returncode == 5, f"the program did not run on: {process.returncode} {process.stderr}")
    expect_refused(process, "is not recorded", "File too large")
    expect(session.counted()["work"] == 10, "the program did not run whole")
    return None


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
