"""How the measured programs are compiled: one build for each way of instrumenting them."""

import concurrent.futures
import dataclasses
import hashlib
import os
import pathlib
import shutil
import subprocess

from .execute import Failed
from measure.programs import BENCH, NOPS, PAD, ROOT

NATIVE = BENCH / "peers" / "native"
# GCC 12 writes entries of inline functions that its linker then loses; the product's CMake module corrects that so too.
ENTRIES = [f"-B{ROOT / 'cmake' / 'gcc'}", "-fno-ipa-stack-alignment"]
XRAY = ["-fxray-instrument", "-fxray-instruction-threshold=1"]  # every function, not only those of 200 instructions


@dataclasses.dataclass(frozen=True)
class Build:
    compiler: str
    flags: tuple = ()
    first: tuple = ()  # a source of NATIVE that is linked in front of everything, and its flags, which are not the others
    calls: str = None  # which build's number of calls is this one's; None: of the build itself

    def plain(self):
        """The name of the build that this one is compared with."""
        return self.compiler

    def link_flags(self):
        return [flag for flag in self.flags if flag in ("-pg", "-fxray-instrument") or flag.startswith("-B")]


BUILDS = {
    "gcc": Build("gcc", calls="gcc-18,16"),
    "gcc-18,16": Build("gcc", (PAD, *ENTRIES)),
    "gcc-5": Build("gcc", (NOPS, *ENTRIES), calls="gcc-18,16"),
    "gcc-pg": Build("gcc", ("-pg",), calls="gcc-18,16"),
    "gcc-cyg": Build("gcc", ("-finstrument-functions",), calls="gcc-cyg-count"),
    "gcc-cyg-empty": Build("gcc", ("-finstrument-functions",), ("entry_hooks.c",), calls="gcc-cyg-count"),
    "gcc-cyg-count": Build("gcc", ("-finstrument-functions",), ("entry_hooks.c", "-DCOUNT")),
    "clang-14": Build("clang-14"),
    "clang-14-18,16": Build("clang-14", (PAD,)),
    "clang-14-xray": Build("clang-14", tuple(XRAY), ("xray_driver.cpp",)),
    "clang-19": Build("clang-19"),
    "clang-19-xray": Build("clang-19", tuple(XRAY), ("xray_driver.cpp",)),
}


def compiler_for(compiler, source):
    """The same compiler's driver for C++."""
    if pathlib.Path(source).suffix != ".cpp":
        return compiler
    return compiler.replace("gcc", "g++").replace("clang", "clang++")


def has_compiler(compiler):
    return shutil.which(compiler) is not None


def digest(*parts):
    text = "\0".join(str(part) for part in parts)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


class Objects:
    """Compiled sources, kept until what they are made of changes."""

    def __init__(self, directory):
        self.directory = directory
        directory.mkdir(parents=True, exist_ok=True)
        self.pool = concurrent.futures.ThreadPoolExecutor(len(os.sched_getaffinity(0)))
        self.pending = {}

    def object(self, source, compiler, flags):
        """A future of the object file."""
        driver = compiler_for(compiler, source)
        name = digest(source, pathlib.Path(source).read_bytes(), driver, *flags)
        if name not in self.pending:
            self.pending[name] = self.pool.submit(self.compile, name, source, driver, flags)
        return self.pending[name]

    def compile(self, name, source, driver, flags):
        path = self.directory / f"{name}.o"
        if not path.exists():
            partial = path.with_suffix(".partial.o")
            subprocess.run([driver, "-c", *map(str, flags), source, "-o", partial], check=True,
                           stderr=subprocess.DEVNULL)
            partial.rename(path)
        return path


class Builder:
    """Makes programs of workloads."""

    def __init__(self, env):
        self.directory = env.work / "peers"
        self.objects = Objects(self.directory / "objects")
        self.programs = {}

    def start(self, workload, name):
        """Begins to compile; program() waits for it."""
        build = BUILDS[name]
        flags = [*workload.flags, *build.flags]
        parts = []
        if build.first:
            parts.append(self.native(build.compiler, *build.first))
        parts += [self.objects.object(source, build.compiler, flags) for source in workload.sources()]
        parts.append(self.objects.object(BENCH / "run_cost.c", "gcc", ["-O2"]))
        self.programs[workload.name, name] = parts

    def native(self, compiler, source, *flags):
        # The header's digest as a macro that nobody reads: what is compiled from another header is another object.
        return self.objects.object(NATIVE / source, compiler, ["-O2", *flags, f"-DHEADER=0x{header_digest()}"])

    def program(self, workload, name):
        try:
            return self.link(workload, name)
        except subprocess.CalledProcessError as error:
            raise Failed(f"{BUILDS[name].compiler} does not build it: status {error.returncode}") from None

    def link(self, workload, name):
        build = BUILDS[name]
        parts = [future.result() for future in self.programs[workload.name, name]]
        path = self.directory / f"{workload.program}-{name.replace(',', '-')}"
        recipe = path.parent / f"{path.name}.recipe"
        wanted = "\n".join(map(str, [*parts, *build.link_flags(), *workload.libraries]))
        if not path.exists() or not recipe.exists() or recipe.read_text() != wanted:
            driver = compiler_for(build.compiler, "x.cpp")
            subprocess.run([driver, *build.link_flags(), *parts, *workload.libraries, "-o", path], check=True)
            recipe.write_text(wanted)
        return path

    def tool(self, name, *flags):
        """A C program of NATIVE, for this machine; or with -shared a library."""
        path = self.directory / (name + (".so" if "-shared" in flags else ""))
        source = NATIVE / f"{name}.c"
        newest = max(f.stat().st_mtime for f in (source, NATIVE / "thread_counts.h"))
        if not path.exists() or path.stat().st_mtime < newest:
            subprocess.run(["gcc", "-O2", "-Wall", "-Wextra", source, *map(str, flags), "-o", path], check=True)
        return path


def header_digest():
    return digest((NATIVE / "thread_counts.h").read_text())

