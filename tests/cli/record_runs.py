"""What `calltap record` does in good weather: statuses, directories, limits, interrupts, children."""
import ctypes
import os
import pathlib
import signal
import time

from session import exec_wrapper, expect, expect_exact, recording, trace_events
import recorded_process

NO_FORKS = "qemu-user ignores MADV_WIPEONFORK, by which a forked child knows that it is one"
BABELTRACE = pathlib.Path(__file__).parent.parent / "interop" / "check_babeltrace"


def test_exit_status_of_the_program(session):
    for status in (0, 1, 77, 255):
        process = session.record([], "calls_many", "10", "exit", str(status))
        expect(process.returncode == status, f"{status} became {process.returncode}: {process.stderr}")


def test_signal_of_the_program(session):
    for number in (signal.SIGTERM, signal.SIGSEGV, signal.SIGABRT, signal.SIGKILL, signal.SIGUSR1):
        process = session.record([], "calls_many", "10", "signal", str(int(number)))
        expect(process.returncode == 128 + number, f"signal {number} became {process.returncode}: {process.stderr}")
        expect(session.reported()["work"] == 10, f"calls before signal {number}: {session.reported()}")


def test_default_directory(session):
    process = session.run([session.calltap, "record", "--", str(session.targets / "calls_many"), "10"])
    expect(process.returncode == 0, process.stderr)
    session.directory = session.folder / "calltap.data"
    expect_exact(session)
    # The commands that read find it by themselves.
    expect("work" in session.run([session.calltap, "report"]).stdout, "report does not find the default directory")


def test_older_recording_is_kept(session):
    for calls in (10, 20, 30):
        expect(session.record([], "calls_many", str(calls)).returncode == 0, "record failed")
    expect(session.reported()["work"] == 30, f"the new one: {session.reported()}")
    old = session.directory.with_name("recording.old")
    expect(recording.calls(session.calltap, old)["work"] == 20, "the old one is not the one before")


def test_program_found_in_path(session):
    session.environment["PATH"] = f"{session.targets}:{session.environment['PATH']}"
    process = session.run([session.calltap, "record", "-o", str(session.directory), "--", "calls_many", "10"])
    expect(process.returncode == 0, process.stderr)
    expect_exact(session)


def test_wrapper_starts_the_program(session):
    wrapper = session.folder / "wrapper"
    wrapper.write_text(f'#!/bin/sh\necho "$@" > {session.folder}/words\nshift\nexec "$@"\n')
    wrapper.chmod(0o755)
    words = [str(wrapper), "word", *session.environment.get("CALLTAP_EXEC_WRAPPER", "").split()]
    session.environment["CALLTAP_EXEC_WRAPPER"] = " ".join(words)
    process = session.record([], "calls_many", "10", "exit", "3")
    expect(process.returncode == 3, f"{process.returncode}: {process.stderr}")
    expect_exact(session)
    started = (session.folder / "words").read_text()
    expect(started.startswith("word ") and started.endswith(f"{session.targets / 'calls_many'} 10 exit 3\n"), started)


def test_standard_input_reaches_the_program(session):
    text = "words\n" * 10000
    process = session.record([], "calls_many", "10", "echo", input=text)
    expect(process.stdout == text and process.stderr == "", f"{len(process.stdout)} {process.stderr!r}")


def test_library_with_sites_under_a_program_without(session):
    process = session.record([], "../without_flags/library_user")
    expect(process.returncode == 0 and process.stdout == "181500\n", f"{process.stdout} {process.stderr}")
    expect_exact(session)
    expect(session.reported()["module_work"] == 100, f"{session.reported()}")


def test_arguments_of_the_program_are_its_own(session):
    process = session.record([], "calls_many", "10", "exit", "3", "--help", "-o", "elsewhere", "--")
    expect(process.returncode == 3, f"{process.returncode} {process.stderr}")
    expect(not (session.folder / "elsewhere").exists(), "-o of the program was taken")


def test_filters(session):
    session.record(["-F", "leaf", "-F", "main"], "calls_many", "10")
    expect(session.reported() == {"leaf": 10, "main": 1}, f"-F: {session.reported()}")
    session.record(["-N", "l*f"], "calls_many", "10")
    expect(session.reported()["leaf"] == 0 and session.reported()["work"] == 10, f"-N: {session.reported()}")


def interrupt(session, how):
    tool = session.start([], "calls_many", "1000", how)
    expect(tool.stdout.readline() == "ready\n", "the program did not start")
    time.sleep(0.1)
    os.killpg(tool.pid, signal.SIGINT)
    _, errors = tool.communicate(timeout=60)
    counted, reported = session.counted(), session.reported()
    for name, count in counted.items():
        # The call that the signal met may be recorded and not yet counted.
        expect(count <= reported[name] <= count + 1, f"{name}: counted {count}, reported {reported[name]}")
    expect(session.discarded() == {}, f"discarded {session.discarded()}")
    return tool.returncode, errors


def test_interrupt_ends_program_and_recording(session):
    status, errors = interrupt(session, "forever")
    expect(status == 128 + signal.SIGINT, f"status {status}: {errors}")


def test_interrupt_that_the_program_handles(session):
    status, errors = interrupt(session, "catch")
    expect(status == 9, f"status {status}: {errors}")
    expect_exact(session)


def test_max_size(session):
    process = session.record(["--max-size", "1M"], "calls_many", "400000", "exit", "4")
    expect(process.returncode == 4, f"the program did not run on: {process.returncode} {process.stderr}")
    expect(session.bytes() <= 1200 * 1024, f"{session.bytes()} bytes were written")
    discarded = session.discarded()
    expect(discarded.get("size_limit", 0) > 0, f"discarded {discarded}")
    expect_accounted(session, discarded)


def test_max_size_of_many_processes(session):
    """The names of each process's functions count too, and are not written for those that come too late."""
    if exec_wrapper.EXEC_WRAPPER:
        return NO_FORKS
    process = session.record(["--max-size", "256K"], "many_processes", "400")
    expect(process.returncode == 0, f"the program did not run on: {process.returncode} {process.stderr}")
    discarded = session.discarded()
    expect(discarded.get("size_limit", 0) > 0, f"{session.bytes()} bytes were written, discarded {discarded}")
    expect_accounted(session, discarded)
    processes = recording.ask(session.calltap, "info", session.directory)["processes"]
    functions = [process["functions"] for process in processes]
    expect(functions.count(0) > 200, f"functions of the processes: {functions}")
    return None


def expect_accounted(session, discarded):
    counted = sum(session.counted().values())
    total = session.events() + sum(discarded.values())
    expect(total == 2 * counted, f"{2 * counted} events happened, {total} are accounted for: {discarded}")


def record_with_the_tool_held(session, mode):
    """The tool stands still until the program has made a hundred times the events that its buffer holds, or waits."""
    tool = session.start(["--on-full", mode, "--buffer", "256K"], "calls_many", "1000", "catch")
    expect(tool.stdout.readline() == "ready\n", "the program did not start")
    tool.send_signal(signal.SIGSTOP)
    before = session.counted()["work"]
    for _ in range(40):
        time.sleep(0.05)
        if session.counted()["work"] > before + 1000000:
            break
    tool.send_signal(signal.SIGCONT)
    os.killpg(tool.pid, signal.SIGINT)
    _, errors = tool.communicate(timeout=60)
    expect(tool.returncode == 9, f"status {tool.returncode}: {errors}")
    return session.discarded()


def test_on_full_discard(session):
    discarded = record_with_the_tool_held(session, "discard")
    expect(discarded.get("buffer_full", 0) > 0, f"discarded {discarded}")
    expect_accounted(session, discarded)


def test_on_full_flight(session):
    discarded = record_with_the_tool_held(session, "flight")
    expect(discarded.get("overwritten", 0) > 0, f"discarded {discarded}")
    expect_accounted(session, discarded)
    # What is kept is the end of the run.
    process = session.processes()[0]
    exits = trace_events.read_process(process).by_event[trace_events.EXIT]
    expect("main" in {recording.function_name(process, number) for number in exits}, "the newest events are missing")


def test_on_full_flight_with_more_short_threads_than_packets(session):
    """Each thread takes a packet and ends; all of them together have PACKETS."""
    threads, packets = 3000, (128 << 20) // (64 << 10)
    process = session.record(["--on-full", "flight", "--buffer", "128K"], "short_threads", str(threads))
    expect(process.returncode == 0, f"{process.returncode} {process.stderr}")
    discarded = session.discarded()
    expect(set(discarded) == {"overwritten"}, f"discarded {discarded}")
    expect_accounted(session, discarded)
    streams = recording.ask(session.calltap, "info", session.directory)["processes"][0]["threads"]
    kept = {stream["name"]: stream["events"] for stream in streams}
    # The main thread has up to two packets, all others belong to the newest threads.
    for number in range(threads - packets + 2, threads):
        expect(kept.get(f"short-{number}") == 12, f"short-{number}: {kept.get(f'short-{number}')} events")
    expect(len(kept) == len(streams) <= packets, f"{len(streams)} streams with {len(kept)} names")
    names = [thread["name"] for thread in recording.description(session.processes()[0])["threads"]]
    expect("" not in names and len(set(names)) == len(names), "threads without a name, or with that of another")
    other = session.run([str(BABELTRACE), session.calltap, str(session.directory)])
    expect(other.returncode == 0, f"babeltrace2 disagrees: {other.stdout}{other.stderr}")


def test_on_full_wait_loses_nothing(session):
    discarded = record_with_the_tool_held(session, "wait")
    expect(discarded == {}, f"discarded {discarded}")
    expect_exact(session)


def expect_target_outlives_the_tool(session, mode):
    """The tool is killed, and stays a zombie that nobody waits for: the program goes on as if nothing were."""
    become_subreaper()
    tool = session.start(["--on-full", mode, "--buffer", "128K"], "calls_many", "1000", "catch")
    try:
        expect(tool.stdout.readline() == "ready\n", "the program did not start")
        target = recorded_process.wait_for_target(tool.pid, "calls_many")
        tool.kill()
        before = session.counted()["work"]
        wanted = before + 1000000  # many times what the buffers hold
        for _ in range(200):
            if session.counted()["work"] > wanted:
                break
            time.sleep(0.1)
        expect(session.counted()["work"] > wanted, f"the program hangs after {session.counted()['work'] - before} calls")
        os.kill(target, signal.SIGINT)
        _, status = os.waitpid(target, 0)
        expect(os.waitstatus_to_exitcode(status) == 9, f"the program ended with {status:#x}")
    finally:
        os.killpg(tool.pid, signal.SIGKILL)
        tool.communicate()


def become_subreaper():
    """Orphans become our children, so that we learn how they end."""
    set_child_subreaper = 36
    expect(ctypes.CDLL(None).prctl(set_child_subreaper, 1, 0, 0, 0) == 0, "prctl failed")


def test_target_outlives_the_tool_in_wait_mode(session):
    if exec_wrapper.EXEC_WRAPPER:
        return "qemu-user has no robust futexes, by which a waiting thread knows that the tool has died"
    expect_target_outlives_the_tool(session, "wait")
    return None


def test_target_outlives_the_tool_in_discard_mode(session):
    expect_target_outlives_the_tool(session, "discard")


def test_target_outlives_the_tool_in_flight_mode(session):
    expect_target_outlives_the_tool(session, "flight")


def test_children_in_sub_directories(session):
    if exec_wrapper.EXEC_WRAPPER:
        return NO_FORKS
    process = session.record([], "vfork_and_spawn")
    expect(process.returncode == 0, process.stderr)
    programs = [recording.description(directory)["executable"] for directory in session.processes()]
    own = sum(program.endswith("/vfork_and_spawn") for program in programs)
    # The program itself, and a child for each of its sixteen successful starts; the shell that it starts has no sites.
    expect(own == 17, f"{own} of {programs}")
    for directory in session.processes():
        expect((directory / "metadata").exists(), f"{directory} is no trace of its own")
    expect_exact(session)
    return None


def test_filters_hold_in_forked_children(session):
    # An emulator does not wipe a child's memory, which is noticed at a fork() of libc only.
    kinds = ["only_fork"] if exec_wrapper.EXEC_WRAPPER else []
    process = session.record(["-F", "leaf", "-F", "child_body"], "fork", *kinds)
    expect(process.returncode == 0, process.stderr)
    counted, reported = session.counted(), session.reported()
    expect(reported == {name: counted[name] for name in ("leaf", "child_body")}, f"{counted}, reported {reported}")


def test_no_process_is_left_behind(session):
    session.record([], "calls_many", "10")
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                with open(f"/proc/{entry}/cmdline", "rb") as file:
                    expect(str(session.folder).encode() not in file.read(), f"process {entry} is still there")
            except (FileNotFoundError, ProcessLookupError):
                pass


def test_patterns_of_a_cpp_module_in_a_c_program(session):
    """Its demangler comes too late for it: that a pattern has no effect is said, and symbols work."""
    process = session.record(["-F", "main", "-F", "*::module_thrower*"], "c_program_cpp_module")
    expect(process.returncode == 0, process.stderr)
    for word in ("libmodule_throwing.so", "no C++ library", "symbols only", "module_throwerEi"):
        expect(word in process.stderr, process.stderr)
    process = session.record(["-F", "main", "-F", "*module_throwerEi"], "c_program_cpp_module")
    expect(process.returncode == 0 and process.stderr == "", process.stderr)
    expect(sum(session.reported().values()) == 11, f"{session.reported()}")
    process = session.record(["-F", "main", "-F", "*::module_thrower*"], "dlopen_exceptions")
    expect(process.returncode == 0 and process.stderr == "", f"a C++ program: {process.stderr}")
    expect(sum(session.reported().values()) == 1001, f"a C++ program: {session.reported()}")
