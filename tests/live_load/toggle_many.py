#!/usr/bin/env python3
"""Turns 20,000 functions on and off every 50 ms under eight busy threads, while they are recorded: the program computes
what it always does, what is recorded adds up, and afterwards its code is byte for byte as in the file.

    toggle_many.py --calltap BIN/calltap [--functions 20000] [--seconds 60] [--threads 8] [--compiler gcc] [--flags ...]
"""
import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time

import control_protocol

PROGRAM = """
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
extern unsigned (*const functions[])(unsigned);
static volatile int stopping;
static unsigned long calls[64], wrong;
static void* run(void* argument) {
  unsigned long number = (unsigned long)argument, count = 0;
  unsigned at = number * 1237;
  while (!stopping) {
    at = (at * 1103515245u + 12345u);
    unsigned which = (at >> 8) % COUNT;
    if (functions[which](at) != (at ^ which)) __atomic_fetch_add(&wrong, 1, __ATOMIC_RELAXED);
    ++count;
  }
  calls[number] = count;
  return 0;
}
int main(int argc, char** argv) {
  int threads = argc > 1 ? atoi(argv[1]) : 8;
  pthread_t ids[64];
  for (long i = 0; i < threads; ++i) pthread_create(&ids[i], 0, run, (void*)i);
  puts("ready");
  fflush(stdout);
  char c;
  while (read(0, &c, 1) > 0) {}
  stopping = 1;
  unsigned long total = 0;
  for (int i = 0; i < threads; ++i) { pthread_join(ids[i], 0); total += calls[i]; }
  printf("%lu %lu\\n", total, wrong);
  return 0;
}
"""


def make_program(directory, options):
    functions = os.path.join(directory, "functions.c")
    with open(functions, "w") as file:
        for n in range(options.functions):
            family = "even" if n % 2 == 0 else "odd"
            file.write(f"__attribute__((noinline)) unsigned {family}_{n}(unsigned v) {{\n"
                       "  for (volatile int i = 0; i < 300; ++i) {}\n"
                       f"  return v ^ {n}u;\n}}\n")
        file.write("unsigned (*const functions[])(unsigned) = {\n")
        file.writelines(f"  {'even' if n % 2 == 0 else 'odd'}_{n},\n" for n in range(options.functions))
        file.write("};\n")
    main = os.path.join(directory, "main.c")
    with open(main, "w") as file:
        file.write(PROGRAM.replace("COUNT", str(options.functions)))
    for source, flags in (functions, options.flags.split()), (main, []):
        subprocess.run([options.compiler, "-O1", "-g0", *flags, "-c", source, "-o", source[:-1] + "o"], check=True)
    program = os.path.join(directory, "program")
    subprocess.run([options.compiler, "-pthread", functions[:-1] + "o", main[:-1] + "o", "-o", program], check=True)
    return program


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--calltap", required=True)
    parser.add_argument("--functions", type=int, default=20000)
    parser.add_argument("--threads", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--interval", type=float, default=0.05)
    parser.add_argument("--compiler", default="gcc")
    parser.add_argument("--flags", default="-fpatchable-function-entry=18,16")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    random.seed(options.seed)

    def tool(*words, check=True):
        done = subprocess.run([options.calltap, *words], capture_output=True, text=True, timeout=300, check=False)
        if check and done.returncode != 0:
            sys.exit(f"FAIL {words}: {done.stderr}; the program: {process.poll()}")
        return done

    with tempfile.TemporaryDirectory(dir=os.environ.get("TMPDIR")) as directory:
        program = make_program(directory, options)
        process = subprocess.Popen([program, str(options.threads)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        process.stdout.readline()
        pid = str(process.pid)
        trace = os.path.join(directory, "trace")
        tool("attach", pid)
        recording = subprocess.Popen([options.calltap, "record", "-p", pid, "-o", trace, "--on-full", "discard"],
                                     stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        while "recording on" not in tool("status", pid).stdout:
            time.sleep(0.01)
        connection = control_protocol.call(process.pid)
        times, on = [], True
        end = time.monotonic() + options.seconds
        try:
            while time.monotonic() < end:
                begin = time.monotonic()
                if len(times) % 20 == 19:
                    pattern = random.choice([b"Feven_*\0", b"Fodd_*\0", b"N*_?7*\0", b""])
                    error, text = control_protocol.ask(connection, control_protocol.FILTER, pattern)
                else:
                    on = not on
                    error, text = control_protocol.ask(connection, control_protocol.RESUME if on else control_protocol.PAUSE)
                if error:
                    sys.exit(f"FAIL change {len(times)}: {text}")
                times.append(time.monotonic() - begin)
                if recording.poll() is not None:
                    sys.exit(f"FAIL the recording has ended: {recording.communicate()[0]}")
                time.sleep(max(0, options.interval - (time.monotonic() - begin)))
            connection.close()
            recording.terminate()
            said = recording.communicate(timeout=300)[0]
            if recording.returncode != 0:
                sys.exit(f"FAIL the recording: {recording.returncode} {said}")
            tool("detach", pid)
            verified = tool("verify", pid).stdout.strip()
            output, _ = process.communicate(timeout=60)
        finally:
            recording.kill()
            process.kill()
        calls, wrong = map(int, output.split())
        info = json.loads(tool("info", trace, "--format", "json").stdout)
        report = json.loads(tool("report", trace, "--format", "json").stdout)
        recorded = sum(function["calls"] for function in report["functions"])
        incomplete = sum(function["incomplete"] for function in report["functions"])
        print(f"{len(times)} changes in {options.seconds:.0f} s, {statistics.median(times) * 1000:.1f} ms median, "
              f"{max(times) * 1000:.1f} ms longest; {options.functions} functions, {options.threads} threads")
        print(f"{calls} calls, {wrong} wrong; {recorded} recorded in {info['events']} events, {incomplete} of them in part, "
              f"{info['discarded_events']} events discarded")
        print(verified)
        # A change cuts off what runs at that moment: at most one call a thread.
        most = options.threads * (len(times) + 2) + info["discarded_events"]
        if (process.returncode != 0 or wrong or info["damage"] or recorded > calls or incomplete > most
                or abs(2 * recorded - info["events"]) > most):
            sys.exit("FAIL it does not add up")


if __name__ == "__main__":
    main()
