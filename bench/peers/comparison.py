"""Runs the contenders on a workload in turn, and collects everything as plain data."""

import shutil

from . import execute, symbols
from .builds import BUILDS
from .contenders import Run
from .execute import Failed
from measure.rounds import rounds

REPORTS_OF = "sqlite"  # the recordings that the contenders' own tools read
REPORT_AGAIN = 5  # seconds: a report that takes longer is made once
COST_KEYS = ("cpu_ns", "wall_ns", "around_wall_ns", "all_cpu_ns", "peak_kib", "anonymous_kib", "shared_kib")


def say(text):
    print(text, flush=True)


class Comparison:
    """One workload: `result` is its part of the file of results."""

    def __init__(self, env, builder, workload, contenders, timeout):
        self.env, self.builder, self.workload, self.timeout = env, builder, workload, timeout
        self.contenders = {}
        self.result = {"title": workload.title, "contenders": {}}
        self.costs = {}  # the last run's
        for contender in contenders:
            self.contenders[contender.name] = contender

    # ---- calls

    def count(self, build, size):
        """How many calls of instrumented functions a run has: compilers inline differently, and some hooks are in
        what was inlined too."""
        build = BUILDS[build].calls or build
        program = self.builder.program(self.workload, build)
        directory = self.env.work / "peers" / "recordings" / "count"
        shutil.rmtree(directory, ignore_errors=True)
        directory.mkdir(parents=True)
        variables = {"PEER_CALLS": str(directory / "calls"), "PEER_XRAY": "count"}
        if build == "gcc-18,16":
            libraries = (self.env.build / "lib" / "libcalltap.so", self.env.counting_client)
            variables["LD_PRELOAD"] = ":".join(map(str, libraries))
        execute.run(self.env, [], program, self.workload.command(size), variables, self.timeout)
        return int((directory / "calls").read_text())

    def most_called(self):
        """For contenders that can have a few functions only."""
        directory = self.env.work / "peers" / "recordings" / "most-called"
        shutil.rmtree(directory, ignore_errors=True)
        program = self.builder.program(self.workload, "gcc-18,16")
        wrapper = [self.env.calltap, "record", "-o", directory, "--"]
        command = self.workload.command(self.workload.size(self.env, 100))
        execute.run(self.env, wrapper, program, command, timeout=self.timeout)
        return symbols.most_called(self.env.calltap, directory)

    # ---- runs

    def run_of(self, contender, size):
        program = self.builder.program(self.workload, contender.build)
        return Run(self.env, contender, self.workload, program, size, self.timeout)

    def entry(self, contender, size):
        return self.result["contenders"].setdefault(contender.name, {"size": size, "samples": []})

    def measure_one(self, contender, size):
        entry = self.entry(contender, size)
        if "missing" in entry:
            return
        try:
            run = self.run_of(contender, size)
            cost = contender.measure(self.env, run)
            sample = {key: cost[key] for key in COST_KEYS if key in cost}
            sample["measured"] = self.workload.measured(cost)
            if run.command.companion:
                sample["requests_s"], sample["median_ms"], sample["slow_ms"] = map(float, cost["output"].split())
            entry["samples"].append(sample)
            entry["facts"] = contender.facts(self.env, run, cost)
            entry["functions_limit"] = contender.functions_limit
            self.measure_report(contender, run, entry)
        except Failed as failure:
            entry["missing"] = str(failure)
            say(f"  {contender.title}: {failure}")
        finally:
            shutil.rmtree(self.env.work / "peers" / "recordings" / f"{contender.name}-{self.workload.name}",
                          ignore_errors=True)

    def measure_report(self, contender, run, entry):
        command = contender.report(self.env, run) if self.workload.name == REPORTS_OF else None
        done = entry.setdefault("report_s", []) if command else None
        if command is None or (done and done[0] > REPORT_AGAIN):
            return
        try:
            done.append(execute.timed(command, self.timeout)[0])
        except Failed as failure:
            entry["report_missing"] = str(failure)

    def run(self):
        say(f"{self.workload.title}")
        measured, plain = {}, {}
        for contender in self.contenders.values():
            if contender.group == "plain":
                continue  # what others are compared with
            reason = contender.missing_for(self.workload.name) or self.not_built(contender)
            if reason:
                self.result["contenders"][contender.name] = {"missing": reason, "samples": []}
                continue
            size = self.workload.size(self.env, contender.weight)
            compiler = BUILDS[contender.build].compiler
            base = self.contenders[compiler]
            plain[compiler, size] = lambda base=base, size=size: self.plain_cost(base, size)
            measured[contender.name] = lambda contender=contender, size=size: self.measure_one(contender, size)
        self.prepare(measured)
        samples = rounds(self.env.rounds, {**plain, **measured})
        for name in measured:
            entry = self.result["contenders"][name]
            key = BUILDS[self.contenders[name].build].compiler, entry["size"]
            entry["plain"] = samples[key]
        self.result["plain"] = {f"{compiler} {size}": samples[compiler, size] for compiler, size in plain}
        return self.result

    def not_built(self, contender):
        """Why its program, or the one that it is compared with, is not there; or None."""
        try:
            for build in (contender.build, BUILDS[contender.build].compiler):
                self.builder.program(self.workload, build)
        except Failed as failure:
            return str(failure)
        return None

    def plain_cost(self, base, size):
        run = self.run_of(base, size)
        cost = base.measure(self.env, run)
        shutil.rmtree(run.recording, ignore_errors=True)
        sample = {key: cost[key] for key in COST_KEYS if key in cost}
        sample["measured"] = self.workload.measured(cost)
        return sample

    def prepare(self, names):
        """Numbers of calls, and the functions of those that cannot have all."""
        counts = {}
        self.workload.most_called = []
        if any(self.contenders[name].functions_limit for name in names):
            self.workload.most_called = self.most_called()
        for name in names:
            contender = self.contenders[name]
            size = self.workload.size(self.env, contender.weight)
            entry = self.entry(contender, size)
            build = BUILDS[contender.build].calls or contender.build
            if contender.group == "off" or contender.functions_limit or not build_counts(build):
                continue
            try:
                if (build, size) not in counts:
                    counts[build, size] = self.count(build, size)
                entry["calls"] = counts[build, size]
            except Failed as failure:
                entry["missing"] = f"its calls cannot be counted: {failure}"


def build_counts(build):
    return build in ("gcc-18,16", "gcc-cyg-count") or build.endswith("-xray")
