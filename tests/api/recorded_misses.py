"""Records handler_calls and compares what the recording counts as discarded with what the program does.

    recorded_misses.py CALLTAP PROGRAM DIRECTORY
"""
import json
import subprocess
import sys

EVENTS_OF_A_CALL = 2
CALLS = 10 * 3  # kCalls * kCallsOfAHandler


def main():
    calltap, program, directory = sys.argv[1:]
    subprocess.run([calltap, "record", "-o", directory, "--", program], check=True, stdout=subprocess.DEVNULL)
    info = json.loads(subprocess.run([calltap, "info", "--format", "json", directory], check=True,
                                     capture_output=True, text=True).stdout)
    reasons = {}
    for process in info["processes"]:
        for reason, count in process["discarded"].items():
            reasons[reason] = reasons.get(reason, 0) + count
    expected = CALLS * EVENTS_OF_A_CALL
    if reasons.get("in_handler") != expected or info["discarded_events"] != expected:
        sys.exit(f"expected {expected} events discarded as in_handler, found {reasons} of {info['discarded_events']}")


if __name__ == "__main__":
    main()
