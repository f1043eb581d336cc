"""calltap attach and calltap detach, and what the process sees of them: nothing."""
import os

from process import Target, expect, finish, wait_until

BUILDS = ("pad", "five", "clang", "clang_five")


def test_attach_and_detach(live):
    with Target(live) as target:
        output = live.done("attach", target.pid)
        expect(output.startswith(f"attached to process {target.pid}: ") and "functions in 1 module can be traced" in output,
               output)
        expect(target.has_control_thread(), target.threads())
        live.verified(target.pid)
        output = live.done("detach", target.pid)
        expect(output.startswith(f"detached from process {target.pid}") and "inert" in output, output)
        wait_until(lambda: not target.has_control_thread(), "the control thread has ended")
        live.verified(target.pid)


def test_attached_already(live):
    with Target(live) as target:
        live.done("attach", target.pid)
        expect(live.done("attach", target.pid).startswith("already attached"), "attached once more")
        expect(target.threads().count("calltap-control") == 1, target.threads())


def test_detach_what_is_not_attached(live):
    with Target(live) as target:
        live.refused("detach", target.pid, says=[target.pid, "not attached", "calltap attach"])
        live.done("attach", target.pid)
        live.done("detach", target.pid)
        wait_until(lambda: not target.has_control_thread(), "the control thread has ended")
        live.refused("detach", target.pid, says=["not attached"])


def recorded_and_as_before(build):
    """Attached, recorded, detached, three times; each time exact, and afterwards the code is as in the file."""
    def test(live):
        with Target(live, f"{build}/target") as target:
            target.obey("threads 3")
            for calls in (10, 1000, 500):
                live.done("attach", target.pid)
                tool = live.record(target.pid)
                hooked = live.run("verify", target.pid)
                expect(hooked.returncode == 1 and "leaf" in hooked.stdout, f"recorded without a change: {hooked.stdout}")
                target.obey(f"calls {calls}")
                finish(tool, 2)
                live.done("detach", target.pid)
                live.verified(target.pid)
                reported = live.reported()
                expect(reported["leaf"] == calls and reported["work"] == 1 and reported["spin"] > 0, f"{calls}: {reported}")
            expect(target.ask("state").endswith(" disturbed 0"), "errno or a result was not kept")
    return test


def exceptions(build):
    """C++ with threads that come and go and throw through the functions."""
    def test(live):
        with Target(live, f"{build}/scopes") as target:
            for _ in range(3):
                live.done("attach", target.pid)
                tool = live.start("trace", target.pid)
                wait_until(lambda: "scopes::work" in tool.stdout.readline(), "a call")
                wait_until(lambda: "Job" in tool.stdout.readline(), "a destructor")
                finish(tool, 2)
                live.done("detach", target.pid)
                live.verified(target.pid)
    return test


for name in BUILDS:
    globals()[f"test_code_is_given_back_{name}"] = recorded_and_as_before(name)
    globals()[f"test_exceptions_{name}"] = exceptions(name)


def test_nothing_is_left(live):
    """Descriptors, signal masks and dispositions are those from before, attached and afterwards."""
    with Target(live) as target:
        target.obey("threads 2")
        state, descriptors = target.ask("state"), target.descriptors()
        for _ in range(2):
            live.done("attach", target.pid)
            expect(target.ask("state") == state, f"attached: {target.ask('state')}, before: {state}")
            expect(target.descriptors() == descriptors, f"attached: {target.descriptors()}, before: {descriptors}")
            finish(live.record(target.pid), 2)
            live.status(target.pid)
            live.done("trace", target.pid, "--duration", "0.05")
            expect(target.descriptors() == descriptors, f"recorded: {target.descriptors()}, before: {descriptors}")
            live.done("detach", target.pid)
            expect(target.ask("state") == state, f"detached: {target.ask('state')}, before: {state}")
            expect(target.descriptors() == descriptors, f"detached: {target.descriptors()}, before: {descriptors}")


def test_memory_stays_flat(live):
    """Attaching again adds nothing: the library, its stubs and buffers are used again."""
    def mappings():
        with open(f"/proc/{target.pid}/maps", encoding="utf-8") as maps:
            return len(maps.readlines())

    with Target(live) as target:
        for _ in range(3):
            live.done("record", "-p", target.pid, "-o", live.directory, "--duration", "0.02")
        before = mappings()
        for _ in range(5):
            live.done("record", "-p", target.pid, "-o", live.directory, "--duration", "0.02")
        expect(mappings() <= before, f"{mappings()} mappings, before {before}")
        expect(not [name for name in os.listdir("/dev/shm") if "calltap" in name], "left in /dev/shm")


def test_setuid_does_not_hang(live):
    """glibc has every thread change its ids, also the control thread, and waits for that."""
    with Target(live) as target:
        target.obey("threads 2")
        live.done("attach", target.pid)
        target.obey("setuid")
        live.status(target.pid)
        live.done("detach", target.pid)
        target.obey("setuid")


def ended_main_thread(recorded):
    def test(live):
        with Target(live, ends=False) as target:
            live.done("attach", target.pid)
            tool = live.record(target.pid) if recorded else None
            target.order("leave")
            status, output, _ = target.wait()
            expect(status == 0 and output == "exit handlers\n", f"status {status}, {output!r}")
            if tool:
                finish(tool)
                expect(live.reported()["leaf"] == 0, live.reported())
    return test


test_main_thread_ends = ended_main_thread(False)
test_main_thread_ends_while_recorded = ended_main_thread(True)


def test_main_thread_ends_before_the_others(live):
    """The process ends with its last thread, and not before."""
    with Target(live) as target:
        target.obey("threads 2")
        live.done("attach", target.pid)
        live.done("detach", target.pid)
        live.done("attach", target.pid)
        target.order("leave")
        status, output, _ = target.wait()
        expect(status == 0 and output == "exit handlers\n", f"status {status}, {output!r}")
