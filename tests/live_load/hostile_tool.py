#!/usr/bin/env python3
"""A tool of the same user that does not keep to the protocol (src/buffer/control_protocol.h) harms nothing: the program
runs on, keeps no descriptor and no memory of it, and serves the next tool.

    hostile_tool.py --calltap BIN/calltap --target PROGRAM [--rounds 200] [--seed N]

The program prints a line and then waits for its standard input to end.
"""
import argparse
import array
import mmap
import os
import random
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time

from control_protocol import (CONTROL_SIGNAL, FILTER, FUNCTIONS, RECORD, STATUS, SYS_RT_TGSIGQUEUEINFO, VERSION, WELCOME, call,
                              control_thread, fail, libc, listen, magic, request)


def welcome(memory_bytes, filters=b"", filter_bytes=None):
    return struct.pack("IIIIQII", magic(), VERSION, WELCOME, 32 + len(filters), memory_bytes,
                       len(filters) if filter_bytes is None else filter_bytes, 0) + filters


def send(connection, message, descriptors=()):
    control = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors))] if descriptors else []
    try:
        connection.sendmsg([message], control)
    except (BrokenPipeError, ConnectionResetError):
        pass  # it has hung up, as it may


def receive(connection):
    try:
        return connection.recv(65536)
    except (ConnectionResetError, TimeoutError):
        return b""


def memory_file(size, content=b""):
    fd = os.memfd_create("hostile")
    os.ftruncate(fd, size)
    os.pwrite(fd, content, 0)
    return fd


def answer_recording(pid, answer):
    """Asks for a recording and lets `answer` be the tool that it joins. What the process says in the end."""
    name = b"calltap-hostile-%08x" % random.getrandbits(32)
    listener = listen(name)
    connection = call(pid)
    send(connection, request(RECORD, name))
    session, _ = listener.accept()
    receive(session)
    answer(session)
    said = receive(connection)
    session.close()
    listener.close()
    connection.close()
    return said


# Each of these gets a process that is attached to.

def closes_early(pid):
    call(pid).close()


def never_listens(pid):
    info = struct.pack("iiiiIIQ", CONTROL_SIGNAL, 0, -1, 0, os.getpid(), os.getuid(), 1).ljust(128, b"\0")
    libc.syscall(SYS_RT_TGSIGQUEUEINFO, pid, control_thread(pid), CONTROL_SIGNAL, info)


def sends_random_bytes(pid):
    connection = call(pid)
    send(connection, random.randbytes(random.choice([1, 8, 15, 16, 23, 24, 25, 100, 4096, 65536, 100_000])))
    receive(connection)
    connection.close()


def changes_a_request(pid):
    connection = call(pid)
    message = bytearray(request(random.randrange(0, 12), random.randbytes(random.randrange(64))))
    for _ in range(random.randrange(1, 4)):
        message[random.randrange(len(message))] = random.randrange(256)
    if struct.unpack_from("I", message, 16)[0] == 9:
        message[16] = STATUS  # detaching is no harm, but ends the test
    send(connection, bytes(message))
    receive(connection)
    connection.close()


def lies_about_the_size(pid):
    connection = call(pid)
    send(connection, request(FILTER, b"Fmain\0", random.choice([0, 5, 7, 65536, 0xFFFFFFFF, 0xFFFFFFE8])))
    receive(connection)
    connection.close()


def sends_descriptors(pid):
    connection = call(pid)
    null = os.open("/dev/null", os.O_RDONLY)
    for message in request(STATUS), b"short", random.randbytes(200):
        send(connection, message, [null] * random.choice([1, 2, 3, 50]))
    receive(connection)
    os.close(null)
    connection.close()


def filters_nonsense(pid):
    connection = call(pid)
    for text in b"", b"F", b"Fmain", b"Xmain\0", b"F[\0", b"F" + b"*" * 5000 + b"\0", random.randbytes(300), b"Fa\0" * 20000:
        send(connection, request(FILTER, text))
        receive(connection)
    connection.close()


def names_no_session(pid):
    for name in b"", b"\0", b"x" * 200, b"calltap-nobody-there", random.randbytes(40):
        connection = call(pid)
        send(connection, request(RECORD, name))
        receive(connection)
        connection.close()


def reads_no_answer(pid):
    connection = call(pid)
    for _ in range(50):
        send(connection, request(random.choice([STATUS, FUNCTIONS])))
    connection.close()


def session_closes(pid):
    answer_recording(pid, lambda session: session.close())


def session_sends_random_bytes(pid):
    answer_recording(pid, lambda session: send(session, random.randbytes(random.randrange(1, 300))))


def session_has_no_memory(pid):
    answer_recording(pid, lambda session: send(session, welcome(1 << 20)))


def session_memory_is_short(pid):
    for size in 0, 4096, 65536:
        fd = memory_file(size, struct.pack("II", magic(), 1))
        answer_recording(pid, lambda session, fd=fd: send(session, welcome(random.choice([1 << 16, 1 << 26, 1 << 40, 1 << 63])), [fd, fd]))
        os.close(fd)


def session_memory_is_nonsense(pid):
    fd = memory_file(1 << 22, random.randbytes(4096))
    os.pwrite(fd, struct.pack("II", magic(), random.choice([0, 1, 2, 3])), 0)
    answer_recording(pid, lambda session: send(session, welcome(1 << 22), [fd]))
    os.close(fd)


def session_memory_is_no_memory(pid):
    for path in "/dev/null", "/dev/zero", "/proc/self/exe", "/":
        fd = os.open(path, os.O_RDONLY)
        answer_recording(pid, lambda session, fd=fd: send(session, welcome(1 << 20), [fd]))
        os.close(fd)


def session_is_short(pid):
    fd = memory_file(4096)
    answer_recording(pid, lambda session: send(session, welcome(1 << 20)[:random.randrange(1, 32)], [fd, fd]))
    os.close(fd)


QUICK = [closes_early, never_listens, sends_random_bytes, changes_a_request, lies_about_the_size, sends_descriptors,
         filters_nonsense, names_no_session, reads_no_answer, session_closes, session_sends_random_bytes,
         session_has_no_memory, session_memory_is_short, session_memory_is_nonsense, session_memory_is_no_memory,
         session_is_short]


# These keep the process waiting for as long as it has patience: then it serves others.

def hangs(pid):
    return [call(pid)]


def session_hangs(pid):
    name = b"calltap-hostile-%08x" % random.getrandbits(32)
    listener = listen(name)
    connection = call(pid)
    send(connection, request(RECORD, name))
    return [listener, connection]


HANGING = [hangs, session_hangs]


class Program:
    def __init__(self, calltap, path):
        self.calltap = calltap
        self.process = subprocess.Popen([path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.process.stdout.readline()
        self.pid = self.process.pid
        self.last = "nothing"
        self.own_descriptors = self.descriptors()
        self.run("attach")

    def run(self, command, *more):
        done = subprocess.run([self.calltap, command, str(self.pid), *more], capture_output=True, text=True, timeout=60,
                              check=False)
        if done.returncode != 0:
            fail(f"after {self.last}: calltap {command}: {done.stderr.strip()}; the program: {self.process.poll()}")
        return done.stdout

    def descriptors(self):
        return sorted(os.listdir(f"/proc/{self.pid}/fd"))

    def mappings(self):
        with open(f"/proc/{self.pid}/maps") as maps:
            return len(maps.readlines())

    def check(self, what, before):
        self.last = what
        if self.process.poll() is not None:
            fail(f"{what}: the program has ended with {self.process.returncode}")
        text = self.run("status")
        if "recording off" not in text:
            fail(f"{what}: {text}")
        deadline = time.monotonic() + 20  # the last connection is closed a moment later
        while self.descriptors() != before and time.monotonic() < deadline:
            time.sleep(0.01)
        if self.descriptors() != before:
            fail(f"{what}: descriptors {before} have become {self.descriptors()}")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--calltap", required=True)
    parser.add_argument("--target", required=True)
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    random.seed(options.seed)
    program = Program(options.calltap, options.target)
    call(program.pid).close()  # learns the magic number
    before = program.own_descriptors
    for attack in QUICK:
        attack(program.pid)
        program.check(attack.__name__, before)
    mappings = program.mappings()
    for number in range(options.rounds):
        attack = random.choice(QUICK)
        attack(program.pid)
        if number % 20 == 0:
            program.check(f"round {number}, {attack.__name__}", before)
    for attack in HANGING:
        held = attack(program.pid)
        program.check(attack.__name__, before)
        for connection in held:
            connection.close()
    program.check("the end", before)
    if program.mappings() > mappings + 4:
        fail(f"{program.mappings() - mappings} mappings more than at first")
    with tempfile.TemporaryDirectory() as directory:
        done = subprocess.run([options.calltap, "record", "-p", str(program.pid), "--duration", "100ms", "-o", f"{directory}/r"],
                              capture_output=True, text=True, timeout=60, check=False)
        if done.returncode != 0:
            fail(f"a recording afterwards: {done.stderr}")
    program.run("detach")
    program.run("verify")
    program.process.stdin.close()
    if (status := program.process.wait(timeout=30)) != 0:
        fail(f"the program ended with {status}")
    print(f"{len(QUICK) + len(HANGING)} kinds, {options.rounds} rounds: nothing happened")


if __name__ == "__main__":
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    main()
