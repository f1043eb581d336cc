#!/usr/bin/env python3
"""Attaches to a server under load and detaches from it, a thousand times: no request fails, no system call of the
program ends with EINTR, memory stays flat, and threads are stopped for milliseconds.

    attach_often.py --calltap BIN/calltap --counter LIBEINTR_COUNTER.so --server redis=PATH [--cycles 1000] [--record]

Run by hand; build_servers.sh makes the servers. Prints what it measured, fails where something is not as promised.
"""
import argparse
import collections
import os
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time

import server_load


def memory_of(pid):
    with open(f"/proc/{pid}/status") as status:
        fields = dict(line.split(":", 1) for line in status)
    with open(f"/proc/{pid}/maps") as maps:
        mappings = len(maps.readlines())
    return {"rss_kib": int(fields["VmRSS"].split()[0]), "mappings": mappings,
            "descriptors": len(os.listdir(f"/proc/{pid}/fd")), "threads": int(fields["Threads"])}


def run(command):
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    return done.returncode, done.stdout + done.stderr


def percentile(values, part):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * part))]


def cycle(options, pid, number, stops, problems):
    tool = options.calltap
    status, text = run([tool, "attach", str(pid)])
    if status != 0:
        problems["attach: " + re.sub(r"\d+", "N", text.strip())] += 1
        return
    stopped = re.search(r"stopped for ([0-9.]+) ms", text)
    if stopped:
        stops.append(float(stopped.group(1)))
    if options.record and number % 10 == 0:
        with tempfile.TemporaryDirectory() as directory:
            status, text = run([tool, "record", "-p", str(pid), "--duration", "50ms", "-o", f"{directory}/trace"])
            if status != 0:
                problems["record: " + re.sub(r"\d+", "N", text.strip())] += 1
    status, text = run([tool, "detach", str(pid)])
    if status != 0:
        problems["detach: " + re.sub(r"\d+", "N", text.strip())] += 1


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--calltap", required=True)
    parser.add_argument("--counter", required=True)
    parser.add_argument("--server", required=True, help="redis=PATH, memcached=PATH, lighttpd=PATH or nghttpd=PATH")
    parser.add_argument("--cycles", type=int, default=1000)
    parser.add_argument("--record", action="store_true", help="record for 50 ms in every tenth cycle")
    parser.add_argument("--no-load", action="store_true", help="the server only waits")
    options = parser.parse_args()

    with tempfile.TemporaryDirectory() as directory, \
            server_load.Server(options.server, directory, options.counter) as server:
        load = None if options.no_load else server.start_load()
        time.sleep(2)
        warm = 10
        stops, problems, marks = [], collections.Counter(), []
        begin = time.monotonic()
        for number in range(options.cycles + warm):
            if number == warm:
                stops.clear()
            if number >= warm and (number - warm) % max(1, options.cycles // 10) == 0:
                marks.append(memory_of(server.pid))
            cycle(options, server.pid, number, stops, problems)
            if not server.is_running():
                sys.exit(f"the server has ended in cycle {number}: {server.end()}")
        seconds = time.monotonic() - begin
        time.sleep(0.5)
        marks.append(memory_of(server.pid))
        status, text = run([options.calltap, "verify", str(server.pid)])
        if status != 0:
            problems["verify: " + text.strip()] += 1
        requests, failed = load.stop() if load else (0, [])
        calls, interrupted = server.counts()

    print(f"{options.server.split('=')[0]}: {options.cycles} times in {seconds:.0f} s, {requests} requests, "
          f"{len(failed)} failed; {calls} system calls counted, EINTR: {interrupted or 'none'}")
    if stops:
        print(f"stopped (ms): median {statistics.median(stops):.2f}, 90 % {percentile(stops, 0.9):.2f}, "
              f"99 % {percentile(stops, 0.99):.2f}, longest {max(stops):.2f}")
    for mark in marks[0], marks[len(marks) // 2], marks[-1]:
        print("memory:", mark)
    if load and calls == 0:
        problems["no system call was counted"] += 1
    for what, count in problems.most_common(10):
        print(f"{count} times: {what}")
    for line in failed[:10]:
        print("failed request:", line)
    grown = marks[-1]["mappings"] - marks[1]["mappings"], marks[-1]["descriptors"] - marks[1]["descriptors"]
    if problems or failed or interrupted or grown[0] > 8 or grown[1] > 20:
        sys.exit("not as promised")


if __name__ == "__main__":
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    main()
