"""What is not a workload: floors, sizes, switching everything on and off, attaching."""

import contextlib
import json
import os
import shutil
import subprocess
import time

from . import execute
from .builds import BUILDS
from .execute import Failed
from measure.programs import text_bytes


def lines_of_pairs(path):
    return [tuple(float(x) for x in line.split()) for line in path.read_text().splitlines()]


def floors(env, builder, workloads):
    """Nanoseconds: a call, a clock read, 8 bytes written and copied, a trap, a stop by a tracer."""
    program = builder.program(workloads["leaf"], "gcc")
    native = builder.tool("floors")
    count = 2_000_000 if env.quick else 10_000_000
    found = {}
    for _ in range(env.rounds):
        for what in ("call", "clock"):
            printed = execute.timed([program, what, count], output=subprocess.PIPE)[1]
            found.setdefault(what, []).append(float(printed.split()[1]))
        for what, value in json.loads(execute.timed([native], output=subprocess.PIPE)[1]).items():
            found.setdefault(what, []).append(value)
    return found


def text_sizes(builder, workloads, builds_for):
    found = {}
    for workload in workloads:
        sizes = found.setdefault(workload.name, {})
        for build in builds_for(workload):
            with contextlib.suppress(Failed):
                sizes[build] = text_bytes(builder.program(workload, build))
    return found


def toggle(env, builder, big, build, variables):
    """Milliseconds of enabling and disabling all functions of the big program: [(first, ...)], a pair a round."""
    path = env.work / "peers" / "toggle"
    path.unlink(missing_ok=True)
    rounds = 3 if env.quick else 8
    execute.run(env, [], builder.program(big, build), big.command(0),
                dict(variables, PEER_TOGGLE=str(path), PEER_ROUNDS=str(rounds)))
    return lines_of_pairs(path)


def switching(env, builder, big):
    """By contender: [[enable, disable], ...]; the first pair is the first time, or "missing"."""
    library = env.build / "lib" / "libcalltap.so"
    ways = {"calltap-counted": ("gcc-18,16", {"LD_PRELOAD": f"{library}:{env.counting_client}"})}
    ways["xray19-noop"] = ("clang-19-xray", {"PEER_XRAY": "toggle"})
    found = {name: {"pairs": []} for name in ways}
    for _ in range(2):
        for name, (build, variables) in ways.items():
            try:
                if shutil.which(BUILDS[build].compiler) is None:
                    raise Failed(f"{BUILDS[build].compiler} is not installed")
                found[name]["pairs"].append(toggle(env, builder, big, build, variables))
            except Failed as failure:
                found[name]["missing"] = str(failure)
    return found


def attaching(env, builder, big):
    """Seconds to bring Calltap into the running big program and out of it, and to record all of it for a moment."""
    program = builder.program(big, "gcc-18,16")
    trace = env.work / "peers" / "recordings" / "attached"
    found = {"attach": [], "detach": [], "record": []}
    for _ in range(env.rounds):
        # Its passes go on until it is ended.
        target = subprocess.Popen([program, "1000000000"], stdout=subprocess.DEVNULL, start_new_session=True)
        try:
            time.sleep(0.1)
            found["attach"].append(execute.timed([env.calltap, "attach", target.pid])[0])
            found["detach"].append(execute.timed([env.calltap, "detach", target.pid])[0])
            shutil.rmtree(trace, ignore_errors=True)
            found["record"].append(execute.timed([env.calltap, "record", "-p", target.pid, "--duration", "0.01", "-o",
                                                  trace])[0])
        finally:
            execute.end(target)
            shutil.rmtree(trace, ignore_errors=True)
    return found


def machine(env):
    """What the numbers were made on."""
    def first_line(*command):
        try:
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            return (done.stdout or done.stderr).splitlines()[0].strip()
        except (OSError, subprocess.CalledProcessError, IndexError):
            return None

    def package(name):
        return first_line("dpkg-query", "-W", "-f", "${Version}", name)

    with open("/proc/cpuinfo") as info:
        cpus = info.read()
    field = {line.split(":")[0].strip(): line.split(":")[1].strip() for line in cpus.splitlines() if ":" in line}
    family, model = field.get("cpu family", "?"), field.get("model", "?")
    return {
        "cpu": f"{field.get('model name', 'unknown')} (family {family}, model {model})",
        "cpus": len(os.sched_getaffinity(0)), "kernel": os.uname().release.split("-")[0],
        "virtual": " hypervisor" in cpus, "memory_mib": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") >> 20,
        "versions": {"GCC": first_line("gcc", "-dumpfullversion"), "clang 14": package("clang-14"),
                     "clang 19": package("clang-19"), "uftrace": package("uftrace"), "lttng-ust": package("liblttng-ust1"),
                     "lttng-tools": package("lttng-tools"), "babeltrace2": package("babeltrace2")},
    }
