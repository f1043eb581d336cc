"""How Calltap and its peers run a program, and what their recordings say afterwards."""

import json
import os
import pathlib
import re
import shutil
import subprocess

from . import execute, symbols
from .builds import BUILDS, has_compiler
from .execute import Failed


class Contender:
    """`weight`: how many times smaller its runs are than those of the fast ones, in the same time."""

    def __init__(self, name, title, group, build, weight=1):
        self.name, self.title, self.group, self.build, self.weight = name, title, group, build, weight

    peer = "plain"
    functions_limit = None  # it has only this many functions

    def missing(self):
        """Why it cannot run here, or None."""
        compiler = BUILDS[self.build].compiler
        return None if has_compiler(compiler) else f"{compiler} is not installed"

    def missing_for(self, workload):
        """Why it is not measured with this workload, or None."""
        reason = self.missing()
        if not reason and workload in ("big", "start") and BUILDS[self.build].compiler == "clang-14":
            reason = "not compiled by clang 14, to save time"
        return reason

    def begin(self, env):
        """Before the first run."""

    def close(self):
        """After the last one."""

    def wrapper(self, env, run):
        return []

    def variables(self, env, run):
        return {}

    def measure(self, env, run):
        shutil.rmtree(run.recording, ignore_errors=True)
        run.recording.mkdir(parents=True)
        return execute.run(env, self.wrapper(env, run), run.program, run.command, self.variables(env, run), run.timeout)

    def facts(self, env, run, cost):
        """events, bytes, lost: of the last recording."""
        return {}

    def report(self, env, run):
        """The command of its own that reads the last recording and says where the time went; None: nothing to read."""
        return None


class Run:
    """A program, a command, and where the recording goes."""

    def __init__(self, env, contender, workload, program, size, timeout):
        self.workload, self.program, self.size, self.timeout = workload, program, size, timeout
        self.command = workload.command(size)
        self.recording = env.work / "peers" / "recordings" / f"{contender.name}-{workload.name}"


class Calltap(Contender):
    peer = "Calltap"


class Preloaded(Calltap):
    """With libraries in front of the program's own."""

    def __init__(self, *arguments, libraries):
        super().__init__(*arguments)
        self.libraries = libraries

    def variables(self, env, run):
        return {"LD_PRELOAD": ":".join(str(library(env)) for library in self.libraries),
                "PEER_CALLS": str(run.recording / "calls")}


class CalltapRecord(Calltap):
    def wrapper(self, env, run):
        return [env.calltap, "record", "--on-full", "wait", "-o", run.recording / "trace", "--"]

    def facts(self, env, run, cost):
        info = json.loads(subprocess.run([env.calltap, "info", "--format", "json", run.recording / "trace"], check=True,
                                         capture_output=True, text=True).stdout)
        return {"events": info["events"], "lost": info["discarded_events"],
                "bytes": sum(t["bytes"] for p in info["processes"] for t in p["threads"])}

    def report(self, env, run):
        return [env.calltap, "report", run.recording / "trace"]


class Instrumented(Contender):
    peer = "-finstrument-functions"


class Uftrace(Contender):
    peer = "uftrace"

    def __init__(self, *arguments, options=()):
        super().__init__(*arguments)
        self.options = options

    def missing(self):
        return super().missing() or (None if shutil.which("uftrace") else "uftrace is not installed")

    def wrapper(self, env, run):
        return ["uftrace", "record", "--no-pager", "--no-libcall", "--no-event", *self.options, "-d",
                run.recording / "trace"]

    def facts(self, env, run, cost):
        size = sum(f.stat().st_size for f in (run.recording / "trace").glob("*.dat"))
        lost = sum(int(n) for n in re.findall(rb"LOST (\d+) records", cost["errors"]))
        return {"events": size // 16, "bytes": size, "lost": lost}  # its records are 16 bytes each

    def report(self, env, run):
        return ["uftrace", "report", "--no-pager", "-d", run.recording / "trace"]


class XRay(Contender):
    peer = "XRay"

    def __init__(self, *arguments, mode=None):
        super().__init__(*arguments)
        self.mode = mode
        self.version = BUILDS[self.build].compiler.removeprefix("clang-")

    def variables(self, env, run):
        options = f"verbosity=0 xray_logfile_base={run.recording}/log."
        if self.mode == "basic":
            return {"XRAY_OPTIONS": f"{options} patch_premain=true xray_mode=xray-basic",
                    "XRAY_BASIC_OPTIONS": "func_duration_threshold_us=0"}
        variables = {"XRAY_OPTIONS": options, "PEER_CALLS": str(run.recording / "calls")}
        return dict(variables, PEER_XRAY=self.mode) if self.mode else variables

    def logs(self, run):
        return sorted(run.recording.glob("log.*"))

    def facts(self, env, run, cost):
        if self.mode not in ("basic", "fdr"):
            return {}
        logs = self.logs(run)
        if len(logs) != 1:
            raise Failed("wrote no log")
        size = logs[0].stat().st_size
        if self.mode == "basic":
            return {"bytes": size, "events": (size - 32) // 32, "lost": 0}
        return {"bytes": size}

    def report(self, env, run):
        if self.mode not in ("basic", "fdr"):
            return None
        return [f"llvm-xray-{self.version}", "account", "--keep-going", f"--instr_map={run.program}", *self.logs(run)]


class Uprobes(Contender):
    peer = "uprobes"
    functions_limit = 10  # closing a probe takes the kernel up to a tenth of a second

    def __init__(self, *arguments, mode):
        super().__init__(*arguments)
        self.mode = mode

    def missing(self):
        if not pathlib.Path("/sys/bus/event_source/devices/uprobe/type").exists():
            return "the kernel has no uprobe PMU"
        return super().missing() or (None if os.getuid() == 0 else "needs root")

    def missing_for(self, workload):
        reason = super().missing_for(workload)
        if not reason and workload == "start":
            reason = "see *Switching everything on and off*"
        if not reason and self.mode.startswith("record") and workload in ("memcached", "threads-1", "threads-2"):
            reason = "has a ring buffer of one thread"
        return reason

    def wrapper(self, env, run):
        offsets = run.recording / "offsets"
        chosen = symbols.function_offsets(run.program, run.workload.most_called, self.functions_limit)
        offsets.write_text("".join(f"{offset}\n" for offset in chosen))
        return [env.uprobes, self.mode, offsets, run.recording / "result"]

    def facts(self, env, run, cost):
        result = json.loads((run.recording / "result").read_text())
        both = "both" in self.mode
        result["calls"] = result["hits"] // (2 if both else 1)
        if self.mode.startswith("record"):
            result["calls"] = (result["events"] + result["lost"]) // (2 if both else 1)
        else:
            for key in ("events", "bytes", "lost"):
                del result[key]
        return result
