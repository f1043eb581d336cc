"""Runs tests inside the machine, as many at a time as it has processors: run_tests.py PLAN. See run."""
import concurrent.futures
import json
import os
import re
import subprocess
import sys
import time

SHOWN = 2000  # characters of a failed test's output


def run(test, time_out, skipped):
    environment = dict(os.environ, **dict(pair.split("=", 1) for pair in test["environment"]))
    begin = time.monotonic()
    try:
        done = subprocess.run(test["command"], cwd=test["folder"], env=environment, capture_output=True, text=True, errors="replace",
                              timeout=time_out, check=False)
        status, output = done.returncode, done.stdout + done.stderr
    except (OSError, subprocess.TimeoutExpired) as error:
        status, output = None, str(error)
    verdict = {0: "passed", skipped: "skipped"}.get(status, "FAILED")
    print(f"{verdict:<8} {time.monotonic() - begin:6.1f} s  {test['name']}", flush=True)
    if verdict == "FAILED":
        print(f"status {status}\n{output[-SHOWN:]}", flush=True)
    return verdict


def main():
    os.environ["PATH"] = "/usr/bin:/bin:/usr/sbin:/sbin"
    os.environ["CALLTAP_PATIENCE"] = "5"
    os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
    with open(sys.argv[1], encoding="utf-8") as file:
        plan = json.load(file)
    chosen = [test for test in plan["tests"] if re.search(plan["regex"], test["name"])]
    print(f"machine: {os.uname().machine}, Linux {os.uname().release}, {os.cpu_count()} processors, {len(chosen)} tests", flush=True)
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        verdicts = list(pool.map(lambda test: run(test, plan["time_out"], test["skipped"]), chosen))
    print("machine: " + ", ".join(f"{verdicts.count(v)} {v.lower()}" for v in ("passed", "FAILED", "skipped")), flush=True)
    return 1 if "FAILED" in verdicts or not verdicts else 0


sys.exit(main())
