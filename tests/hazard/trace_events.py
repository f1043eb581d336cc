"""Counts the events of a recording, independently of Calltap's own reader.

Reads the stream files as src/event/event_layout.h draws them: 80-byte packet headers, 8-byte compact and 16-byte
extended events, little-endian, some with words behind them.
"""
import array
import collections
import pathlib
import struct

HEADER = struct.Struct("<I16sI6QII")
CTF_MAGIC = 0xC1FC1FC1
EVENT_AND_FUNCTION = 0xFFFFFFFF0000001F
ENTRY, EXIT, UNWOUND, EXTENDED = 1, 2, 3, 31
ARGUMENTS, STACK = 4, 5  # with words behind them


class Counts:
    """Entries, exits and unwound exits by function number, of one process."""

    def __init__(self):
        self.by_event = {event: collections.Counter() for event in (ENTRY, EXIT, UNWOUND, ARGUMENTS, STACK)}
        self.events = 0
        self.discarded = 0

    def add(self, event, function, count=1):
        if event not in self.by_event:
            raise ValueError(f"event id {event}")
        if function == 0:
            raise ValueError("an event of function 0")
        self.by_event[event][function] += count
        self.events += count


def read_words(words, counts):
    """Adds the events of one packet's content, as 64-bit words."""
    without_time = collections.Counter(map(EVENT_AND_FUNCTION.__and__, words))
    if all(word & 31 in (ENTRY, EXIT, UNWOUND) for word in without_time):
        for word, count in without_time.items():
            counts.add(word & 31, word >> 32, count)
        return
    i = 0
    while i < len(words):
        if words[i] & 31 == EXTENDED:
            event, function = words[i] >> 5 & (1 << 27) - 1, words[i + 1] >> 32
            i += 2
        else:
            event, function = words[i] & 31, words[i] >> 32
            i += 1
        counts.add(event, function)
        if event in (ARGUMENTS, STACK):
            i += 1 + (words[i] & 0xFFFFFFFF)
    if i != len(words):
        raise ValueError("an event that is cut off")


def events_with_words(words):
    """(event, function, words behind it) of those that have some, in one packet's content."""
    i = 0
    while i < len(words):
        extended = words[i] & 31 == EXTENDED
        event = words[i] >> 5 & (1 << 27) - 1 if extended else words[i] & 31
        function = words[i + extended] >> 32
        i += 1 + extended
        if event in (ARGUMENTS, STACK):
            count = words[i] & 0xFFFFFFFF
            yield event, function, list(words[i + 1:i + 1 + count])
            i += 1 + count


def words_of_process(directory):
    """All events with words of one process directory of a recording."""
    for stream in sorted(pathlib.Path(directory).glob("thread-*")):
        content = stream.read_bytes()
        at = 0
        while at < len(content):
            _, _, _, _, _, used, size, _, _, _, _ = HEADER.unpack_from(content, at)
            words = array.array("Q")
            words.frombytes(content[at + HEADER.size:at + used // 8])
            yield from events_with_words(words)
            at += size // 8


def read_stream(path, counts):
    sequence = 0
    discarded = 0
    with open(path, "rb") as stream:
        while header := stream.read(HEADER.size):
            magic, _, _, begin, end, content, size, number, discarded, _, _ = HEADER.unpack(header)
            if magic != CTF_MAGIC or content > size or content % 64 or begin > end or number < sequence:
                raise ValueError(f"{path}: bad packet {number}")
            sequence = number + 1
            words = array.array("Q")
            words.frombytes(stream.read(content // 8 - HEADER.size))
            stream.seek((size - content) // 8, 1)
            read_words(words, counts)
    counts.discarded += discarded


def read_process(directory):
    """The counts of one process directory of a recording."""
    counts = Counts()
    for stream in sorted(pathlib.Path(directory).glob("thread-*")):
        read_stream(stream, counts)
    return counts


def process_directories(recording):
    return sorted(metadata.parent for metadata in pathlib.Path(recording).rglob("metadata"))
