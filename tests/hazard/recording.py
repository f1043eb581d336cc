"""What Calltap says about a recording: its commands' JSON, and the descriptions in the directory."""
import collections
import json
import subprocess

import call_counts


def ask(calltap, command, directory, *options):
    """The JSON that `calltap command --format json` prints."""
    process = subprocess.run([calltap, command, str(directory), "--format", "json", *options], capture_output=True,
                             text=True, check=False)
    if process.returncode != 0:
        raise RuntimeError(f"calltap {command}: status {process.returncode}: {process.stderr}")
    return json.loads(process.stdout)


def calls(calltap, directory):
    """Calls by plain function name, of all processes."""
    counts = collections.Counter()
    for function in ask(calltap, "report", directory)["functions"]:
        counts[call_counts.plain_name(function["name"])] += function["calls"]
    return counts


def discarded(calltap, directory):
    """Discarded events of all processes and reasons."""
    return sum(sum(process["discarded"].values()) for process in ask(calltap, "info", directory)["processes"])


def description(process):
    return json.loads((process / ".calltap" / "process.json").read_text())


def function_name(process, number):
    for function in description(process)["functions"]:
        if function[0] == number:  # [id, module, address, symbol, name if it differs]
            return function[-1]
    return f"function {number}"
