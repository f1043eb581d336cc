#!/usr/bin/env python3
"""Kills the tool or the program at random moments of attach, record -p, trace, stat and detach: the other side is fine,
the recording can be read, nothing stays in /tmp or /dev/shm, and a later attach and detach cleans up.

    kill_anywhere.py --calltap BIN/calltap --target PROGRAM [--times 200] [--seed N]

The program prints a line, keeps threads busy, and ends with status 0 when its standard input ends.
"""
import argparse
import collections
import json
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time

COMMANDS = ["attach", "record", "trace", "stat", "detach", "set"]


def fail(message):
    sys.exit(f"FAIL {message}")


def litter(before=frozenset()):
    """What Calltap's name is on, but for the folders of tests that run beside this one."""
    return {os.path.join(place, name) for place in ("/tmp", "/dev/shm") for name in os.listdir(place)
            if "calltap" in name and not re.fullmatch(r"calltap-\w+-[a-z0-9_]{8}", name)} - before


class Program:
    def __init__(self, path):
        self.process = subprocess.Popen([path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.process.stdout.readline()
        self.pid = str(self.process.pid)

    def descriptors(self):
        return sorted(os.listdir(f"/proc/{self.pid}/fd"))

    def makes_progress(self):
        """The time of the processor that it has used goes on."""
        def used():
            with open(f"/proc/{self.pid}/stat") as stat:
                fields = stat.read().rsplit(")", 1)[1].split()
            return int(fields[11]) + int(fields[12])
        before, deadline = used(), time.monotonic() + 20
        while used() == before:
            if time.monotonic() > deadline:
                return False
            time.sleep(0.005)
        return True


class Test:
    def __init__(self, options, directory):
        self.options, self.directory = options, directory
        self.program = None
        self.durations = collections.defaultdict(lambda: 0.3)
        self.seen = collections.Counter()

    def command(self, name):
        pid = self.program.pid
        words = {"record": ["record", "-p", pid, "-o", f"{self.directory}/trace", "--duration", "60ms"],
                 "trace": ["trace", pid, "--duration", "60ms"], "stat": ["stat", pid, "--duration", "60ms", "--interval", "20ms"],
                 "set": ["set", pid, "--all"]}
        return [self.options.calltap, *words.get(name, [name, pid])]

    def run(self, name, may_fail=False):
        done = subprocess.run(self.command(name), capture_output=True, text=True, timeout=60, check=False)
        if done.returncode != 0 and not may_fail:
            fail(f"calltap {name}: {done.returncode} {done.stderr} {done.stdout}; the program: {self.program.process.poll()}")
        return done

    def start(self, name):
        shutil.rmtree(f"{self.directory}/trace", ignore_errors=True)
        with open(f"{self.directory}/said", "wb") as said:
            return subprocess.Popen(self.command(name), stdout=said, stderr=said)

    def measure(self, name):
        begin = time.monotonic()
        self.start(name).wait(timeout=60)
        self.durations[name] = time.monotonic() - begin

    def read_trace(self, what):
        if not os.path.exists(f"{self.directory}/trace"):
            return
        done = subprocess.run([self.options.calltap, "report", f"{self.directory}/trace", "--format", "json"], capture_output=True,
                              text=True, timeout=60, check=False)
        if done.returncode < 0 or (done.returncode != 0 and not done.stderr.startswith("calltap:")):
            fail(f"{what}: calltap report: {done.returncode} {done.stderr}")
        if done.returncode == 0 or "the recording was never closed" in done.stderr:
            report = json.loads(done.stdout)
            if report["damaged"]:
                fail(f"{what}: a damaged recording: {done.stderr}")
            self.seen["recordings read" if report["events"] else "recordings without events"] += 1
        else:
            self.seen[re.sub(r".*/trace", "", done.stderr.strip())] += 1

    def prepare(self, name):
        if self.program is None:
            self.program = Program(self.options.target)
        if name in ("detach", "set"):
            self.run("attach")
        elif random.random() < 0.5:
            self.run("detach", may_fail=True)

    def kill_tool(self, name):
        self.prepare(name)
        tool = self.start(name)
        time.sleep(random.random() * self.durations[name])
        tool.kill()
        tool.wait()
        what = f"the tool killed in {name}"
        if self.program.process.poll() is not None:
            fail(f"{what}: the program has ended with {self.program.process.returncode}")
        if not self.program.makes_progress():
            fail(f"{what}: the program does not go on")
        self.read_trace(what)
        if random.random() < 0.3:  # straight into the next command
            self.run(random.choice(["record", "stat"]))
        self.run("attach")
        self.run("detach")
        self.run("verify")
        deadline = time.monotonic() + 10
        while len(self.program.descriptors()) != 3 and time.monotonic() < deadline:
            time.sleep(0.01)
        if len(self.program.descriptors()) != 3:
            fail(f"{what}: descriptors {self.program.descriptors()}")

    def kill_program(self, name):
        self.prepare(name)
        tool = self.start(name)
        time.sleep(random.random() * self.durations[name])
        self.program.process.kill()
        self.program.process.wait()
        self.program = None
        what = f"the program killed in {name}"
        try:
            status = tool.wait(timeout=30)
        except subprocess.TimeoutExpired:
            fail(f"{what}: the tool hangs")
        with open(f"{self.directory}/said", errors="replace") as said:
            lines = said.read().splitlines()
        if status not in (0, 1) or (status == 1 and not any(line.startswith("calltap:") for line in lines)):
            fail(f"{what}: the tool ended with {status} and said {lines[-3:]}")
        self.read_trace(what)

    def end(self):
        if self.program is None:
            return
        self.program.process.stdin.close()
        status = self.program.process.wait(timeout=30)
        self.program = None
        if status != 0:
            fail(f"the program ended with {status}")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--calltap", required=True)
    parser.add_argument("--target", required=True)
    parser.add_argument("--times", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    random.seed(options.seed)
    before = litter()
    with tempfile.TemporaryDirectory(prefix="calltap-test-") as directory:
        test = Test(options, directory)
        test.program = Program(options.target)
        for name in COMMANDS:
            test.measure(name)
        for number in range(options.times):
            name = COMMANDS[number % len(COMMANDS)]
            if random.random() < 0.6:
                test.kill_tool(name)
            else:
                test.kill_program(name)
            if number % 50 == 49:
                test.end()
        test.end()
        if left := litter(before):
            fail(f"left behind: {left}")
        print(f"{options.times} times: both sides fine; {dict(test.seen)}")


if __name__ == "__main__":
    main()
