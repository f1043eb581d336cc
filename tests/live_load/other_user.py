#!/usr/bin/env python3
"""Another user can neither attach to a process nor reach its runtime, its buffers or a recording of it.

    other_user.py --calltap BIN/calltap --target PROGRAM

Needs root, to be two users. The program prints a line and ends when its standard input does.
"""
import argparse
import ctypes
import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time

import control_protocol

OWNER, OTHER = 65534, 65533  # nobody, and one that no account has
SKIPPED = 77
SYS_PIDFD_OPEN, SYS_PIDFD_GETFD = 434, 438


def fail(message):
    sys.exit(f"FAIL {message}")


def as_user(user):
    def become():
        os.setgroups([])
        os.setresgid(user, user, user)
        os.setresuid(user, user, user)
    return become


class Test:
    def __init__(self, options, directory):
        self.directory = directory
        for folder in "bin", "lib":
            os.makedirs(f"{directory}/{folder}")
        build = os.path.dirname(os.path.dirname(os.path.realpath(options.calltap)))
        self.calltap = shutil.copy(options.calltap, f"{directory}/bin/calltap")
        for name in os.listdir(f"{build}/lib"):
            if name.startswith("libcalltap"):
                shutil.copy(f"{build}/lib/{name}", f"{directory}/lib/{name}")
        program = shutil.copy(options.target, f"{directory}/target")
        os.chmod(directory, 0o755)
        os.mkdir(f"{directory}/owner")
        os.chown(f"{directory}/owner", OWNER, OWNER)
        self.target = subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                                       preexec_fn=as_user(OWNER))
        self.target.stdout.readline()
        self.pid = self.target.pid

    def tool(self, user, *words):
        return subprocess.run([self.calltap, *map(str, words)], capture_output=True, text=True, timeout=60, check=False,
                              cwd=f"{self.directory}/owner", preexec_fn=as_user(user))

    def in_child(self, user, function):
        """What the function returns, as a process of that user."""
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            try:
                as_user(user)()
                os.write(writer, str(function()).encode())
            except BaseException as error:  # pylint: disable=broad-except
                os.write(writer, repr(error).encode())
            os._exit(0)
        os.close(writer)
        os.waitpid(child, 0)
        answer = os.read(reader, 4096).decode()
        os.close(reader)
        return answer

    def commands_are_refused(self):
        for words in (["attach"], ["detach"], ["trace", "--duration", "100ms"], ["stat", "--duration", "100ms"], ["status"],
                      ["set", "--off"], ["verify"], ["record", "-o", "/tmp/calltap-other-user"]):
            process = ["-p", self.pid] if words[0] == "record" else [self.pid]
            done = self.tool(OTHER, words[0], *process, *words[1:])
            if done.returncode != 1 or not done.stderr.startswith("calltap:"):
                fail(f"calltap {words[0]} as another user: {done.returncode} {done.stdout} {done.stderr}")
        if os.path.exists("/tmp/calltap-other-user"):
            fail("a recording of another user's process was begun")

    def thread_cannot_be_called(self):
        thread = control_protocol.control_thread(self.pid)

        def signal_it():
            info = struct.pack("iiiiIIQ", control_protocol.CONTROL_SIGNAL, 0, -1, 0, os.getpid(), os.getuid(), 1).ljust(128, b"\0")
            libc = ctypes.CDLL(None, use_errno=True)
            result = libc.syscall(control_protocol.SYS_RT_TGSIGQUEUEINFO, self.pid, thread, control_protocol.CONTROL_SIGNAL, info)
            return result, ctypes.get_errno()
        if (answer := self.in_child(OTHER, signal_it)) != "(-1, 1)":
            fail(f"another user's signal to the control thread: {answer}")

    def thread_talks_to_nobody_else(self):
        """Its own user's tool is called, but another user listens under that name."""
        nonce = 0x1234567890ABCDEF
        ready_reader, ready_writer = os.pipe()
        child = os.fork()
        if child == 0:
            as_user(OTHER)()
            listener = control_protocol.listen(b"calltap-control-%016x" % nonce)
            os.write(ready_writer, b"x")
            connection, _ = listener.accept()
            connection.settimeout(10)
            os._exit(0 if connection.recv(4096) == b"" else 1)
        os.read(ready_reader, 1)
        thread = control_protocol.control_thread(self.pid)
        info = struct.pack("iiiiIIQ", control_protocol.CONTROL_SIGNAL, 0, -1, 0, os.getpid(), 0, nonce).ljust(128, b"\0")
        control_protocol.libc.syscall(control_protocol.SYS_RT_TGSIGQUEUEINFO, self.pid, thread, control_protocol.CONTROL_SIGNAL, info)
        if os.waitpid(child, 0)[1] != 0:
            fail("the control thread talks to another user's socket")

    def session_cannot_be_joined(self, tool):
        """The tool's own socket, which processes join for their buffers."""
        with open("/proc/net/unix") as sockets:
            names = [line.split()[-1] for line in sockets if f"@calltap-{tool.pid}-" in line]
        if not names:
            fail("the recording tool has no socket")

        def join():
            connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            connection.settimeout(10)
            connection.connect("\0" + names[0][1:])
            hello = struct.pack("IIIIII", control_protocol.magic(), control_protocol.VERSION, 1, 40, 0, 0) + bytes(16)
            try:
                connection.send(hello)
                message, control, _, _ = connection.recvmsg(4096, 1024)
            except (BrokenPipeError, ConnectionResetError):
                return "nothing"
            return f"{len(message)} bytes, {len(control)} descriptors" if message or control else "nothing"
        if (answer := self.in_child(OTHER, join)) != "nothing":
            fail(f"another user joins the recording: {answer}")

    def buffers_cannot_be_read(self, tool):
        for pid in tool.pid, self.pid:
            for path in f"/proc/{pid}/mem", f"/proc/{pid}/maps":
                if "PermissionError" not in (answer := self.in_child(OTHER, lambda path=path: open(path, "rb").close())):
                    fail(f"{path} as another user: {answer}")
        for fd in os.listdir(f"/proc/{tool.pid}/fd"):
            path = f"/proc/{tool.pid}/fd/{fd}"
            if "PermissionError" not in (answer := self.in_child(OTHER, lambda path=path: open(path, "rb").close())):
                fail(f"{path} as another user: {answer}")

            def take(fd=fd):
                libc = ctypes.CDLL(None, use_errno=True)
                pidfd = libc.syscall(SYS_PIDFD_OPEN, tool.pid, 0)
                return libc.syscall(SYS_PIDFD_GETFD, pidfd, int(fd), 0), ctypes.get_errno()
            if (answer := self.in_child(OTHER, take)) != "(-1, 1)":
                fail(f"descriptor {fd} of the tool is taken: {answer}")

    def recording_is_private(self):
        answer = self.in_child(OTHER, lambda: os.listdir(f"{self.directory}/owner/trace"))
        if "PermissionError" not in answer:
            fail(f"another user reads the recording: {answer}")

    def run(self):
        for user in OTHER,:
            done = self.tool(user, "attach", self.pid)
            if done.returncode != 1 or "user" not in done.stderr:
                fail(f"attach as another user: {done.returncode} {done.stderr}")
        done = self.tool(OWNER, "attach", self.pid)
        if done.returncode != 0:
            fail(f"attach as its user: {done.stderr}")
        self.commands_are_refused()
        self.thread_cannot_be_called()
        self.thread_talks_to_nobody_else()
        control_protocol.call(self.pid).close()  # root may
        tool = subprocess.Popen([self.calltap, "record", "-p", str(self.pid), "-o", "trace"], cwd=f"{self.directory}/owner",
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=as_user(OWNER))
        deadline = time.monotonic() + 30
        while "recording on" not in self.tool(OWNER, "status", self.pid).stdout:
            if time.monotonic() > deadline:
                fail("the recording does not begin")
            time.sleep(0.05)
        self.commands_are_refused()
        self.session_cannot_be_joined(tool)
        self.buffers_cannot_be_read(tool)
        self.recording_is_private()
        tool.send_signal(signal.SIGINT)
        if tool.wait(timeout=30) != 0:
            fail(f"the recording: {tool.communicate()}")
        done = self.tool(OWNER, "detach", self.pid)
        if done.returncode != 0:
            fail(f"detach: {done.stderr}")
        self.target.stdin.close()
        if (status := self.target.wait(timeout=30)) != 0:
            fail(f"the program ended with {status}")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--calltap", required=True)
    parser.add_argument("--target", required=True)
    options = parser.parse_args()
    if os.geteuid() != 0:
        print("skipped: only root can be two users")
        sys.exit(SKIPPED)
    with tempfile.TemporaryDirectory(prefix="calltap-test-") as directory:
        test = Test(options, directory)
        try:
            test.run()
        finally:
            test.target.kill()
            test.target.wait()
    print("nothing is open to another user")


if __name__ == "__main__":
    main()
