"""The counts that a target program keeps of its own calls: the file of tests/targets/calls.h."""
import collections
import re
import struct

SLOT = struct.Struct("<IIQ48s")
SLOTS = 256


def create(path):
    with open(path, "wb") as file:
        file.truncate(SLOT.size * SLOTS)
    path.chmod(0o666)


def read(path):
    """Calls by function name."""
    counts = collections.Counter()
    for _, _, count, name in SLOT.iter_unpack(path.read_bytes()):
        if count:
            counts[name.rstrip(b"\0").decode()] += count
    return counts


def plain_name(name):
    """A reported name as a target writes it: without parameters, clone suffix, module and the unnamed namespace."""
    name = name.replace("(anonymous namespace)::", "")
    if ")::" in name:  # a lambda or a local class of the function, not the function
        return name
    return re.split(r"[(.@]", name, maxsplit=1)[0].strip()
