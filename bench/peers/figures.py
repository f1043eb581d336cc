"""From samples to figures: costs of a call, ratios, sizes. A figure is a list of values, one a round."""

from measure.rounds import median

CALLING = ["leaf", "fib", "expressions", "sqlite", "memcached", "big"]  # workloads whose calls cost something
OURS = {"off": "calltap-off", "hooked": "calltap-hooked", "counted": "calltap-counted", "recorded": "calltap-recorded"}
READ = "sqlite"  # the workload whose recordings were read by the contenders' own tools


def in_group(results, group):
    return [name for name, about in results["contenders"].items() if about["group"] == group]


def title(results, name):
    return results["contenders"][name]["title"]


def is_ours(results, name):
    return results["contenders"][name]["peer"] == "Calltap"


def entry(results, workload, name):
    """What a contender did in a workload; None if it has no numbers there."""
    found = results["workloads"].get(workload, {}).get("contenders", {}).get(name)
    return found if found and found["samples"] and "missing" not in found else None


def pairs(results, workload, name):
    """(measured, plain) of each round."""
    found = entry(results, workload, name)
    return [(s["measured"], p["measured"]) for s, p in zip(found["samples"], found["plain"], strict=True)] if found else []


def calls(results, workload, name):
    found = entry(results, workload, name)
    return found and (found.get("facts", {}).get("calls") or found.get("calls"))


def slowdown(results, workload, name):
    return [measured / plain for measured, plain in pairs(results, workload, name)]


def added(results, workload, name):
    """Nanoseconds of CPU time that a call takes more than in the same program without anything."""
    number = calls(results, workload, name)
    return [(measured - plain) / number for measured, plain in pairs(results, workload, name)] if number else []


def bytes_an_event(results, workload, name):
    """An entry and an exit are two events, also where they are one record."""
    found = entry(results, workload, name)
    size = found and found.get("facts", {}).get("bytes")
    return [size / (2 * calls(results, workload, name))] if size else []


def lost(results, workload, name):
    found = entry(results, workload, name)
    return found and found.get("facts", {}).get("lost")


def memory(results, workload, name):
    """MiB that the program has at most beyond what it has with nothing in it."""
    found = entry(results, workload, name)
    if not found:
        return []
    return [(s["peak_kib"] - p["peak_kib"]) / 1024 for s, p in zip(found["samples"], found["plain"], strict=True)]


def wall(results, workload, name):
    found = entry(results, workload, name)
    return [s["wall_ns"] / p["wall_ns"] for s, p in zip(found["samples"], found["plain"], strict=True)] if found else []


def report_speed(results, name):
    """Million events that its own tool reads a second."""
    found = entry(results, READ, name)
    number = calls(results, READ, name)
    return [2 * number / seconds / 1e6 for seconds in found.get("report_s", [])] if found and number else []


def start_up(results, name):
    """Milliseconds, of the big program with no work, that it takes longer."""
    return [(measured - plain) / 1e6 for measured, plain in pairs(results, "start", name)]


def thread_cost(results, threads, name):
    return [measured - plain for measured, plain in pairs(results, f"threads-{threads}", name)]


def thread_scaling(results, name):
    """What a call costs with two threads, times what it costs with one."""
    one, two = thread_cost(results, 1, name), thread_cost(results, 2, name)
    return [b / a for a, b in zip(one, two, strict=True) if a > 0]


def switching(results, name):
    """{"first", "enable", "disable"}: milliseconds."""
    runs = results.get("switching", {}).get(name, {}).get("pairs")
    if not runs:
        return {}
    again = [pair for run in runs for pair in run[1:]]
    return {"first": [run[0][0] for run in runs], "enable": [on for on, _ in again], "disable": [off for _, off in again]}


def text_ratio(results, workload, build):
    sizes = results.get("text", {}).get(workload, {})
    compiler = next((about["compiler"] for about in results["contenders"].values() if about["build"] == build), None)
    return sizes[build] / sizes[compiler] if build in sizes and compiler in sizes else None


def overlap(a, b):
    return max(min(a), min(b)) <= min(max(a), max(b))


def best_peer(results, names, values):
    """The name with the lowest median among other people's."""
    found = [(median(values(name)), name) for name in names if not is_ours(results, name) and values(name)]
    return min(found)[1] if found else None
