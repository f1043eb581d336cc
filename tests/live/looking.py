"""calltap ps, calltap status and calltap verify."""
import json
import re

from process import Target, expect, finish, read


def row_of(live, pid):
    rows = [row for row in json.loads(live.done("ps", "--json")) if row["pid"] == pid]
    lines = [line.split() for line in live.done("ps").splitlines() if line.split()[0] == str(pid)]
    expect(len(rows) == len(lines) <= 1, f"{rows} {lines}")
    if not rows:
        return None
    expect(lines[0][2] == (rows[0]["runtime"] or "-") and int(lines[0][3]) == rows[0]["functions"], f"{rows} {lines}")
    return rows[0]


def test_ps(live):
    with Target(live) as target, Target(live, "none/target") as without:
        row = row_of(live, target.pid)
        expect(row["runtime"] is None and row["functions"] > 5 and row["command"].endswith("pad/target"), row)
        expect(row_of(live, without.pid) is None, "a process without sites is listed")
        live.done("attach", target.pid)
        expect(row_of(live, target.pid)["runtime"] == "attached", row_of(live, target.pid))
        live.done("detach", target.pid)
        expect(row_of(live, target.pid)["runtime"] == "loaded", row_of(live, target.pid))
        expect(live.done("ps").splitlines()[0].split() == ["PID", "USER", "RUNTIME", "FUNCTIONS", "COMMAND"], live.done("ps"))


def test_status(live):
    with Target(live) as target:
        live.refused("status", target.pid, says=["not attached", f"calltap attach {target.pid}"])
        live.done("attach", target.pid)
        status = live.status(target.pid)
        expect(status["pid"] == target.pid and status["recording"] == "off" and "buffers" not in status, status)
        expect(status["ops"] == [], status)
        expect("recording off" in live.done("status", target.pid), live.done("status", target.pid))

        tool = live.record(target.pid, "-F", "work", "-F", "leaf", "--on-full", "wait", "--buffer", "1M")
        target.obey("calls 10")
        status = live.status(target.pid)
        expect(status["recording"] == "on", status)
        expect(status["buffers"]["on_full"] == "wait" and status["buffers"]["threads"] == 1, status)
        expect(status["buffers"]["discarded"] == 0 and not status["buffers"]["tool_gone"], status)
        expect([(ops["name"], ops["functions"], ops["state"]) for ops in status["ops"]] == [("recorder", 2, "enabled")], status)
        expect(sum(module["on"] for module in status["modules"]) == 2, status)
        text = live.done("status", target.pid)
        expect("recording on" in text and re.search(r"^recorder +handlers +enabled +2 ", text, re.M), text)
        functions = live.done("status", target.pid, "--functions")
        expect("leaf" in functions and "work" in functions and "spin" not in functions, functions)
        live.done("set", target.pid, "--off")
        status = live.status(target.pid)
        expect(status["recording"] == "paused" and sum(module["on"] for module in status["modules"]) == 0, status)
        finish(tool, 2)
        expect(live.status(target.pid)["recording"] == "off", live.status(target.pid))
        live.done("detach", target.pid)


def test_verify_sees_a_changed_byte(live):
    """In a function's entry, and in the middle of code; and nothing when it is as it was."""
    with Target(live) as target:
        entry = json.loads(live.done("list", target.pid, "-F", "leaf", "--format", "json"))[0]
        address = int(str(entry["address"]), 0)
        for at, name in ((address + 1, "leaf"), (address + 12, "")):
            with open(f"/proc/{target.pid}/mem", "r+b", buffering=0) as memory:
                memory.seek(at)
                old = memory.read(1)
                memory.seek(at)
                memory.write(bytes([old[0] ^ 0x40]))
            found = live.run("verify", target.pid, "--json")
            differences = json.loads(found.stdout)["differences"]
            expect(found.returncode == 1 and len(differences) == 1, found.stdout)
            expect(int(differences[0]["address"], 0) == at, f"{differences}, changed at {at:#x}")
            expect(differences[0]["function"] == name and differences[0]["module"] == "target", differences)
            expect(differences[0]["file"] == old.hex() and differences[0]["memory"] == f"{old[0] ^ 0x40:02x}", differences)
            text = live.run("verify", target.pid)
            expect(text.returncode == 1 and "1 difference" in text.stdout, text.stdout)
            live.refused("detach", target.pid, says=["not attached"])
            live.done("attach", target.pid)
            live.refused("detach", target.pid, says=["differs", f"calltap verify {target.pid}"])
            with open(f"/proc/{target.pid}/mem", "r+b", buffering=0) as memory:
                memory.seek(at)
                memory.write(old)
            live.verified(target.pid)


def test_verify_a_deleted_file(live):
    program = live.folder / "target"
    program.write_bytes((live.programs / "pad/target").read_bytes())
    program.chmod(0o755)
    with Target(live, program) as target:
        program.unlink()
        live.verified(target.pid)
        finish(live.record(target.pid), 2)
        live.verified(target.pid)
        expect("(deleted)" not in live.done("verify", target.pid) and read(f"/proc/{target.pid}/comm") == "target\n", "")
