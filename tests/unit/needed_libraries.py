#!/usr/bin/env python3
"""Fails if a library needs other libraries than libc and the loader: needed_libraries.py READELF LIBRARY

What lives in programs of all kinds may not bring the C++ library into them.
"""
import re
import subprocess
import sys

ALLOWED = re.compile(r"libc\.so\.|ld-linux.*\.so\.")


def main():
    readelf, library = sys.argv[1:]
    output = subprocess.run([readelf, "-d", "--wide", library], capture_output=True, text=True, check=True).stdout
    needed = re.findall(r"\(NEEDED\).*\[(.*)\]", output)
    wrong = [name for name in needed if not ALLOWED.match(name)]
    print(f"{library} needs {', '.join(needed)}")
    return 1 if wrong or not needed else 0


if __name__ == "__main__":
    sys.exit(main())
