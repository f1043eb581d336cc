"""What the contenders do: programs, how large a run is, and what is taken from it."""

import dataclasses
import pathlib
import re
import socket
import subprocess

from measure.programs import BENCH, ROOT
from . import big_program

PURCHASES = 50_000  # as load.sql has it
NATIVE = BENCH / "peers" / "native"
SQLITE = BENCH / "workloads" / "sqlite"
MEMCACHED = BENCH / "workloads" / "memcached"
MEMCACHED_FILES = ("memcached hash jenkins_hash murmur3_hash slabs items assoc thread daemon stats_prefix util cache "
                   "bipbuffer base64 logger crawler itoa_ljust slab_automove authfile restart proto_text proto_bin").split()


@dataclasses.dataclass
class Command:
    """One run: what follows the program's name, and what goes with it."""
    arguments: list
    stdin: pathlib.Path = None
    companion: list = None  # runs beside the program
    pinned: bool = True


class Workload:
    """`size` is in units of the workload's own; `base` is what a contender of weight 1 gets."""
    program = None  # the name of the program's file: workloads may share one
    flags = ["-O2"]
    libraries = []
    files = []
    base = 1
    least = 1

    def prepare(self, env, builder):
        """Fetches and makes what is needed, once."""

    def sources(self):
        return self.files

    def size(self, env, weight):
        return max(self.least, self.base // (2 if env.quick else 1) // weight)

    def command(self, size):
        return Command([size])

    def measured(self, cost):
        """Nanoseconds of a run, and of what they are."""
        return cost["cpu_ns"]


class Micro(Workload):
    program = "micro"
    flags = ["-O2", "-fno-optimize-sibling-calls"]  # compilers' own ideas of unrolling fib make it different programs
    files = [BENCH / "micro.c"]
    base = 20_000_000

    def __init__(self, name, title):
        self.name, self.title = name, title

    def command(self, size):
        return Command([self.name, size])


class Expressions(Workload):
    name, title = "expressions", "C++, exceptions"
    program = "expressions"
    flags = ["-O2", "-std=c++20"]
    files = [NATIVE / "expressions.cpp"]
    base = 80_000


class Sqlite(Workload):
    name, title = "sqlite", "SQLite"
    program = "sqlite"
    flags = ["-O2", "-w", "-DSQLITE_THREADSAFE=0", "-DSQLITE_OMIT_LOAD_EXTENSION", "-DSQLITE_ENABLE_MATH_FUNCTIONS"]
    libraries = ["-lm"]
    base = 25_000  # purchases
    least = 200

    def prepare(self, env, builder):
        self.source = ROOT / "build" / "sqlite"
        self.directory = builder.directory
        subprocess.run([SQLITE / "fetch.sh", self.source], check=True, stdout=subprocess.DEVNULL)

    def sources(self):
        return [self.source / "shell.c", self.source / "sqlite3.c"]

    def command(self, size):
        path = self.directory / f"workload-{size}.sql"
        files = [SQLITE / "load.sql", *sorted((SQLITE / "statements").glob("*.sql"))]
        text = "".join(f.read_text() for f in files)
        path.write_text(re.sub(rf"\bi < {PURCHASES}\b", f"i < {size}", text))
        return Command([], stdin=path)


class Memcached(Workload):
    name, title = "memcached", "memcached"
    program = "memcached"
    libraries = ["-levent", "-lpthread"]
    base = 200_000  # requests
    least = 1_600

    def prepare(self, env, builder):
        self.source = ROOT / "build" / "memcached"
        subprocess.run([MEMCACHED / "fetch.sh", self.source], check=True, stdout=subprocess.DEVNULL)
        self.flags = ["-O2", "-w", "-DHAVE_CONFIG_H", "-DNDEBUG", f"-I{self.source / 'source'}"]
        self.load = builder.tool("server_load")

    def sources(self):
        return [self.source / "source" / f"{name}.c" for name in MEMCACHED_FILES]

    def command(self, size):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        arguments = ["-A", "-l", "127.0.0.1", "-p", port, "-U", "0", "-u", "root", "-t", "2", "-m", "64"]
        return Command(arguments, companion=[self.load, port, 16, size], pinned=False)


class Big(Workload):
    name, title = "big", "60,000 functions"
    program = "big"
    flags = ["-O1", "-fno-inline"]
    base = 60  # passes over all functions

    def prepare(self, env, builder):
        self.made = big_program.write(builder.directory / "big")

    def sources(self):
        return self.made


class StartUp(Big):
    """The big program without work: what it takes to get there and away again."""
    name, title = "start", "start and end of 60,000 functions"
    base = least = 0

    def size(self, env, weight):
        return 0

    def measured(self, cost):
        return cost["around_wall_ns"]


class Threads(Workload):
    program = "threads"
    flags = ["-O2"]
    libraries = ["-lpthread"]
    files = [NATIVE / "threads.c"]
    base = 5_000_000

    def __init__(self, threads):
        self.threads = threads
        self.name = f"threads-{threads}"
        self.title = f"{threads} thread{'s' if threads > 1 else ''}"

    def command(self, size):
        return Command([self.threads, size], pinned=False)

    def measured(self, cost):
        return float(cost["output"].split()[0])


ALL = [Micro("leaf", "leaf loop"), Micro("fib", "fib"), Expressions(), Sqlite(), Memcached(), Big(), StartUp(),
       Threads(1), Threads(2)]
CALLING = ["leaf", "fib", "expressions", "sqlite", "memcached", "big"]  # those whose calls cost something
