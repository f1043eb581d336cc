"""Running a measured program under a contender, with a limit on its time."""

import contextlib
import json
import os
import resource
import signal
import subprocess
import time


class Failed(Exception):
    """Why a contender has no numbers."""


def last_lines(text, count=2):
    lines = [line.strip() for line in text.decode(errors="replace").splitlines() if line.strip()]
    return "; ".join(lines[-count:])[:200]


def end(process):
    """Ends what we started, with all that it started."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def finish(process, timeout):
    try:
        return process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        raise Failed(f"not done after {timeout} s") from None
    finally:
        end(process)


def start(command, **options):
    return subprocess.Popen(list(map(str, command)), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                            start_new_session=True, **options)


def run(env, wrapper, program, command, variables=None, timeout=60):
    """Runs `wrapper program arguments`. What it cost, and what it and its companion printed."""
    cost_file = env.work / "peers" / f"cost-{os.getpid()}"
    cost_file.unlink(missing_ok=True)
    environment = dict(os.environ, BENCH_COST=str(cost_file), **(variables or {}))
    if command.pinned:
        environment["BENCH_CPU"] = str(env.cpu)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    begin = time.perf_counter_ns()
    companion = None
    with open(command.stdin or os.devnull, "rb") as source:
        process = start([*wrapper, program, *command.arguments], stdin=source, env=environment,
                        cwd=env.work / "peers")
    try:
        if command.companion:
            companion = start(command.companion)
            load, complaint = finish(companion, timeout)
            if companion.returncode != 0:
                raise Failed(f"under load: {last_lines(complaint)}")
        output, errors = finish(process, timeout)
    finally:
        end(process)
    wall = time.perf_counter_ns() - begin
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if process.returncode != 0:
        raise Failed(f"ended with {ended_with(process.returncode)}: {last_lines(errors)}")
    if not cost_file.exists():
        raise Failed(f"the program did not come to its end: {last_lines(errors)}")
    cost = json.loads(cost_file.read_text().splitlines()[-1])
    cost_file.unlink()
    spent = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
    cost.update(output=(load if command.companion else output).decode(errors="replace"), errors=errors,
                around_wall_ns=wall, all_cpu_ns=spent * 1e9)
    return cost


def ended_with(code):
    """A wrapper says 128 and the signal's number, Python its negative."""
    number = -code if code < 0 else code - 128
    with contextlib.suppress(ValueError):
        if number > 0:
            return signal.Signals(number).name
    return f"status {code}"


def timed(command, timeout=60, prefix=(), output=subprocess.DEVNULL):
    """Seconds that a command takes, the most memory it has, and what it prints if `output` is a pipe."""
    begin = time.perf_counter()
    process = subprocess.Popen(list(map(str, [*prefix, *command])), stdout=output, stderr=subprocess.PIPE,
                               start_new_session=True)
    text, errors = finish(process, timeout)
    seconds = time.perf_counter() - begin
    if process.returncode != 0:
        raise Failed(f"{command[0]}: {ended_with(process.returncode)}: {last_lines(errors)}")
    return seconds, (text or b"").decode(errors="replace")
