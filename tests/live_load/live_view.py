#!/usr/bin/env python3
"""calltap stat and calltap trace, with more and more events a second: every event is shown or said to be dropped.

    live_view.py --calltap BIN/calltap --target PACED [--rates 1,5,10,200] [--seconds 5]

Rates are in millions of events a second, from two threads.
"""
import argparse
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time


def stat(lines):
    intervals = [json.loads(line) for line in lines]
    events = sum(interval["events"] for interval in intervals)
    calls = intervals[-1]["functions"][0]["since_start"]["calls"]
    return events, calls, sum(sum(interval["discarded"].values()) for interval in intervals)


def trace(lines):
    calls = discarded = half = 0
    for line in lines:
        if "> tick()" in line:  # another line tells how it ended
            continue
        if "tick()" in line:
            calls += 1
            half += "not recorded" in line
        elif match := re.match(r"\[ ([0-9,]+) events? discarded", line):
            discarded += int(match.group(1).replace(",", ""))
    return 2 * calls - half, calls, discarded


def measure(options, directory, command, rate):
    target = subprocess.Popen([options.target, str(rate / 2), str(options.seconds), "2"], stdin=subprocess.PIPE,
                              stdout=subprocess.PIPE, text=True)
    target.stdout.readline()
    words = {"stat": ["stat", "--json"], "trace": ["trace"]}[command]
    with open(f"{directory}/out", "w+") as out:
        tool = subprocess.Popen([options.calltap, words[0], str(target.pid), *words[1:], "-F", "tick"], stdout=out)
        while "recording on" not in subprocess.run([options.calltap, "status", str(target.pid)], capture_output=True, text=True,
                                                   check=False).stdout:
            time.sleep(0.02)
        before = os.times()
        target.stdin.write("\n")
        target.stdin.flush()
        made = int(target.stdout.readline())
        time.sleep(1)
        tool.send_signal(signal.SIGINT)
        if tool.wait(timeout=120) != 0:
            sys.exit(f"FAIL calltap {command} ended with {tool.returncode}")
        used = os.times().children_user + os.times().children_system - before.children_user - before.children_system
        out.seek(0)
        events, calls, discarded = {"stat": stat, "trace": trace}[command](out)
    target.stdin.close()
    if target.wait(timeout=60) != 0:
        sys.exit("FAIL the program")
    print(f"{command}: {2 * made / options.seconds / 1e6:.1f} M events/s, {made} calls: {calls} shown, "
          f"{events} events and {discarded} discarded; the tool used {used / options.seconds * 100:.0f} % of a processor",
          flush=True)
    if events + discarded != 2 * made:
        print(f"FAIL {events + discarded - 2 * made} events are not accounted for")
        return False
    return True


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--calltap", required=True)
    parser.add_argument("--target", required=True)
    parser.add_argument("--rates", default="1,5,10,200")
    parser.add_argument("--seconds", type=float, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=os.environ.get("TMPDIR")) as directory:
        good = [measure(options, directory, command, float(rate) * 1e6)
                for command in ("stat", "trace") for rate in options.rates.split(",")]
    sys.exit(0 if all(good) else 1)


if __name__ == "__main__":
    main()
