"""The control protocol of src/buffer/control_protocol.h, spoken by a tool that may say anything."""
import ctypes
import os
import random
import socket
import struct
import sys

VERSION = 1
WELCOME, CONTROL_REQUEST = 2, 7
STATUS, FUNCTIONS, RECORD, STOP, FILTER, PAUSE, RESUME, MODE = range(1, 9)
SYS_RT_TGSIGQUEUEINFO = 297
CONTROL_SIGNAL = 32

libc = ctypes.CDLL(None, use_errno=True)
hellos = []  # of processes


def magic():
    return struct.unpack_from("I", hellos[0])[0]


def fail(message):
    sys.exit(f"FAIL {message}")


def listen(name):
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    listener.bind(b"\0" + name)
    listener.listen(8)
    listener.settimeout(20)
    return listener


def control_thread(pid):
    for tid in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{tid}/comm") as comm:
            if comm.read().strip() == "calltap-control":
                return int(tid)
    return None


def call(pid):
    """The control thread's connection to us, after its hello."""
    nonce = random.getrandbits(64)
    listener = listen(b"calltap-control-%016x" % nonce)
    info = struct.pack("iiiiIIQ", CONTROL_SIGNAL, 0, -1, 0, os.getpid(), os.getuid(), nonce).ljust(128, b"\0")
    if libc.syscall(SYS_RT_TGSIGQUEUEINFO, pid, control_thread(pid), CONTROL_SIGNAL, info) != 0:
        fail(f"the signal cannot be sent: {os.strerror(ctypes.get_errno())}")
    connection, _ = listener.accept()
    listener.close()
    connection.settimeout(20)
    hello = connection.recv(4096)
    hellos.append(hello)
    return connection


def request(number, text=b"", text_bytes=None):
    return struct.pack("IIIIII", magic(), VERSION, CONTROL_REQUEST, 24 + len(text), number,
                       len(text) if text_bytes is None else text_bytes) + text


def ask(connection, number, text=b""):
    """The error number and the text that the process answers."""
    connection.send(request(number, text))
    answer = b""
    while True:
        message = connection.recv(65536)
        flags, error = struct.unpack_from("Ii", message, 16)
        answer += message[32:]
        if flags == 0:
            return error, answer.decode()
