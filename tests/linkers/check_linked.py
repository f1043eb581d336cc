#!/usr/bin/env python3
"""Builds the shared_functions program as users would, and checks what Calltap makes of it.

For one way of compiling, every linker, with and without --gc-sections: the program links; `calltap list` shows every
function that the linker kept and no other; and run_hazard.py finds the exact counts in a recording.
"""
import argparse
import concurrent.futures
import json
import os
import pathlib
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
TESTS = HERE.parent
KINDS = {"pie": (["-fPIE"], ["-pie"]), "no_pie": (["-fno-pie"], ["-no-pie"]), "shared": (["-fPIC"], ["-Wl,-rpath,$ORIGIN"])}


def run(*command):
    process = subprocess.run(command, capture_output=True, text=True, check=False)
    if process.returncode != 0:
        raise RuntimeError(f"{' '.join(map(str, command))}: status {process.returncode}\n{process.stdout}{process.stderr}")
    return process.stdout


def functions(path):
    """(name, address) of the functions defined in an object file or program; not of cold parts."""
    found = set()
    for line in run("readelf", "-sW", path).splitlines():
        fields = line.split()  # number, value, size, type, binding, visibility, section, name
        if len(fields) == 8 and fields[3] == "FUNC" and fields[6] != "UND":
            if not fields[7].endswith(".cold"):
                found.add((fields[7], int(fields[1], 16)))
    return found


def is_thunk(name):
    """Of a virtual function: a jump without an entry, unless the function was inlined into it."""
    return name.startswith("_ZT")


class Build:
    """The objects of one way of compiling, in a folder of their own."""

    def __init__(self, arguments, folder):
        self.arguments = arguments
        self.folder = folder
        self.objects = [folder / "a.o", folder / "b.o"]
        self.link_flags = [*arguments.flag, *KINDS[arguments.kind][1]]
        flags = [*arguments.flag, *KINDS[arguments.kind][0], arguments.entry, "-ffunction-sections", "-std=c++20", "-Wall", "-Wextra",
                 "-Werror", f"-I{TESTS / 'targets'}"]
        with concurrent.futures.ThreadPoolExecutor() as pool:
            for _ in pool.map(lambda file: run(arguments.compiler, *flags, "-c", HERE / f"shared_functions_{file.stem}.cpp",
                                               "-o", file), self.objects):
                pass
        self.names = {name for file in self.objects for name, _ in functions(file)}

    def link(self, linker, collect):
        """The files that were linked; the first is the program."""
        flags = [*self.link_flags, f"-fuse-ld={linker}", *(["-Wl,--gc-sections"] if collect else [])]
        stem = f"{linker}{'_gc' if collect else ''}"
        program, library = self.folder / stem, self.folder / f"lib{stem}.so"
        if self.arguments.kind != "shared":
            run(self.arguments.compiler, *self.objects, self.arguments.calls_object, *flags, "-o", program)
            return [program]
        run(self.arguments.compiler, self.objects[1], "-shared", *flags, "-o", library)
        run(self.arguments.compiler, self.objects[0], library, self.arguments.calls_object, *flags, "-rdynamic",
            "-o", program)
        return [program, library]

    def check(self, linker, collect):
        try:
            files = self.link(linker, collect)
            for file in files:
                self.check_list(file)
            run(sys.executable, "-B", TESTS / "hazard/run_hazard.py", "--calltap", self.arguments.calltap, files[0])
        except RuntimeError as error:
            return f"FAIL {linker}{' --gc-sections' if collect else ''}: {error}"
        return None

    def check_list(self, file):
        sites = json.loads(run(self.arguments.calltap, "list", file, "--format", "json"))
        wrong = [site for site in sites if site["problem"] is not None]
        if wrong:
            raise RuntimeError(f"{file.name}: sites with a problem: {wrong}")
        present = functions(file)
        kept = {address: name for name, address in present if name in self.names and not is_thunk(name)}
        listed = {int(site["address"], 16) for site in sites}
        missing = sorted(kept[address] for address in kept.keys() - listed)
        invented = listed - {address for _, address in present}
        if not kept or missing or invented:
            raise RuntimeError(f"{file.name}: {len(kept)} functions, not listed: {missing}, no functions: {invented}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calltap", required=True)
    parser.add_argument("--compiler", required=True)
    parser.add_argument("--calls-object", required=True, help="calls.o, without entries")
    parser.add_argument("--entry", required=True, help="the compiler's flag for entries")
    parser.add_argument("--kind", choices=KINDS, default="pie")
    parser.add_argument("--flag", action="append", default=[], help="for compiling and linking")
    parser.add_argument("--linker", action="append", default=[])
    parser.add_argument("--without-gc-sections", action="store_true", help="do not try --gc-sections")
    arguments = parser.parse_args()
    collections = [False] if arguments.without_gc_sections else [False, True]
    ways = [(linker, collect) for linker in arguments.linker for collect in collections]
    with tempfile.TemporaryDirectory(prefix="calltap-linked-") as folder:
        try:
            build = Build(arguments, pathlib.Path(folder))
        except RuntimeError as error:
            print(f"FAIL {error}")
            return 1
        with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
            failures = [failure for failure in pool.map(lambda way: build.check(*way), ways) if failure]
    print("\n".join(failures) or f"{len(ways)} ways of linking")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
