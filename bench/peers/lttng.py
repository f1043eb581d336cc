"""LTTng-UST with its tracer for -finstrument-functions, in a session daemon of our own."""

import os
import pathlib
import re
import shutil
import subprocess
import time

from . import execute
from .contenders import Contender
from .execute import Failed

LIBRARIES = {"fast": "liblttng-ust-cyg-profile-fast.so", "full": "liblttng-ust-cyg-profile.so"}


def library_path(name):
    """Where Debian puts it; None if it is not there."""
    machine = os.uname().machine
    for directory in (f"/usr/lib/{machine}-linux-gnu", "/usr/lib64", "/usr/lib"):
        path = pathlib.Path(directory) / LIBRARIES[name]
        if path.exists():
            return path
    return None


class Daemon:
    """A session daemon that nobody else's programs talk to. Root's has its sockets below /run: there it is in a mount
    namespace with a /run of its own, which what talks to it enters."""

    def __init__(self, directory):
        self.home = directory / "lttng-home"
        shutil.rmtree(self.home, ignore_errors=True)
        self.home.mkdir(parents=True)
        self.variables = {"LTTNG_HOME": str(self.home), "LTTNG_UST_ALLOW_BLOCKING": "1",
                          "LTTNG_UST_REGISTER_TIMEOUT": "-1"}
        daemon = ["lttng-sessiond", "--no-kernel"]
        self.prefix = []
        if os.getuid() == 0:
            script = 'mount -t tmpfs lttng-peers /run && exec "$@"'
            daemon = ["unshare", "--mount", "sh", "-c", script, "sh", *daemon]
        self.log = open(directory / "lttng-sessiond.log", "wb")
        self.process = subprocess.Popen(daemon, stdout=self.log, stderr=self.log, start_new_session=True,
                                        env=dict(os.environ, **self.variables))
        if os.getuid() == 0:
            self.prefix = ["nsenter", "-t", str(self.process.pid), "--mount", f"--wd={os.getcwd()}"]
        for _ in range(200):
            time.sleep(0.1)
            if self.process.poll() is not None:
                raise Failed("its session daemon does not start")
            if self.lttng("list", check=False).returncode == 0:
                return
        raise Failed("its session daemon does not answer")

    def lttng(self, *arguments, check=True):
        done = subprocess.run([*self.prefix, "lttng", "--no-sessiond", *map(str, arguments)], capture_output=True,
                              check=False, env=dict(os.environ, **self.variables), timeout=60)
        if check and done.returncode != 0:
            raise Failed(f"lttng {arguments[0]}: {execute.last_lines(done.stderr + done.stdout)}")
        return done

    def close(self):
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            pass
        execute.end(self.process)
        self.log.close()


class Lttng(Contender):
    peer = "LTTng"
    daemon = None  # one for all

    def __init__(self, *arguments, library, session=True):
        super().__init__(*arguments)
        self.library, self.session = library, session

    def missing(self):
        if library_path(self.library) is None:
            return f"{LIBRARIES[self.library]} is not installed"
        if self.session and not shutil.which("lttng-sessiond"):
            return "lttng-sessiond is not installed"
        return super().missing()

    def begin(self, env):
        if self.session and Lttng.daemon is None:
            Lttng.daemon = Daemon(env.work / "peers")

    def close(self):
        if Lttng.daemon is not None:
            Lttng.daemon.close()
            Lttng.daemon = None

    def wrapper(self, env, run):
        if not self.session:
            return []
        prefix = [part if not part.startswith("--wd=") else f"--wd={env.work / 'peers'}" for part in self.daemon.prefix]
        # Preloaded into the program alone.
        return [*prefix, "env", f"LD_PRELOAD={library_path(self.library)}"]

    def variables(self, env, run):
        return dict(self.daemon.variables) if self.session else {"LD_PRELOAD": str(library_path(self.library))}

    def measure(self, env, run):
        """Waits when the buffers are full, as `calltap record` does: nothing is lost, and 32 MiB are enough."""
        if not self.session:
            return super().measure(env, run)
        trace = run.recording / "trace"
        shutil.rmtree(run.recording, ignore_errors=True)
        run.recording.mkdir(parents=True)
        lttng = self.daemon.lttng
        lttng("create", "peers", f"--output={trace}")
        try:
            lttng("enable-channel", "-u", "calls", "--subbuf-size=4M", "--num-subbuf=4", "--blocking-timeout=inf")
            lttng("enable-event", "-u", "lttng_ust_cyg_profile*", "-c", "calls")
            lttng("start")
            cost = execute.run(env, self.wrapper(env, run), run.program, run.command, self.variables(env, run),
                               run.timeout)
            cost["errors"] = lttng("stop").stdout + cost["errors"]
        finally:
            lttng("destroy", "peers", check=False)
        return cost

    def facts(self, env, run, cost):
        if not self.session:
            return {}
        size = sum(f.stat().st_size for f in (run.recording / "trace").rglob("calls_*") if f.is_file())
        lost = sum(int(n) for n in re.findall(rb"(\d+) events? (?:were |was )?discarded", cost["errors"]))
        return {"bytes": size, "lost": lost}

    def report(self, env, run):
        return ["babeltrace2", run.recording / "trace"] if self.session else None
