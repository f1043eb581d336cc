"""Steps through a program that qemu-user runs, by the protocol that gdb speaks with it."""

import contextlib
import pathlib
import shutil
import socket
import time

from exclusive import exclusive_access

PROGRAM_COUNTER = {"x86_64": 16, "aarch64": 32, "riscv64": 32}  # gdb's numbers
# Which vector registers there are is the emulator's choice: all that it knows.
PROCESSOR = {"x86_64": "max", "aarch64": "max", "riscv64": "rv64"}
ANSWER_SECONDS = 60
STEPS_AT_MOST = 10_000  # one call


class StepError(Exception):
    """What went wrong, for the one who runs the script."""


def emulator(architecture):
    """The words that start a program of the architecture."""
    path = shutil.which(f"qemu-{architecture}-static")
    if path is None:
        raise StepError(f"qemu-{architecture}-static is missing: install the package qemu-user-static")
    words = [path, "-cpu", PROCESSOR[architecture]]
    libraries = pathlib.Path(f"/usr/{architecture}-linux-gnu")
    return [*words, "-L", str(libraries)] if libraries.exists() else words


class Stepper:
    """A program that was started with `-g PATH` and waits there."""

    def __init__(self, architecture, path, process):
        self.architecture = architecture
        self.code = {}  # by address
        self.stream = None
        deadline = time.monotonic() + ANSWER_SECONDS
        connection = socket.socket(socket.AF_UNIX)
        while True:
            try:
                connection.connect(str(path))
                break
            except OSError:
                if process.poll() is not None:
                    raise StepError("the program ended before its first instruction") from None
                if time.monotonic() > deadline:
                    raise StepError("the emulator does not answer") from None
                time.sleep(0.01)
        connection.settimeout(ANSWER_SECONDS)
        self.stream = connection.makefile("rwb")
        connection.close()  # the stream has it now
        self.ask("?")
        self.ask("qXfer:features:read:target.xml:0,1")  # qemu tells single registers to those who ask for this

    def close(self):
        with contextlib.suppress(OSError):  # what is left to be sent, if the other end has gone
            self.stream.close()

    def ask(self, packet):
        """Sends a packet and returns the answer's text."""
        try:
            return self.exchange(packet)
        except OSError as error:
            raise StepError(f"the emulator, asked {packet}: {error}") from None

    def exchange(self, packet):
        body = packet.encode()
        self.stream.write(b"$%s#%02x" % (body, sum(body) % 256))
        self.stream.flush()
        answer = bytearray()
        while (byte := self.stream.read(1)) != b"$":  # what stands before it acknowledges the packet
            if byte == b"":
                raise StepError(f"the emulator has gone, asked {packet}")
        while (byte := self.stream.read(1)) != b"#":
            if byte == b"":
                raise StepError(f"the emulator has gone, asked {packet}")
            answer += byte
        self.stream.read(2)
        self.stream.write(b"+")
        self.stream.flush()
        return answer.decode(errors="replace")

    def resume(self, packet):
        """Returns whether the program still runs."""
        answer = self.ask(packet)
        if answer.startswith("W"):
            if answer[1:3] != "00":
                raise StepError("the program failed")
            return False
        if not answer.startswith(("T05", "S05")):
            raise StepError(f"the program stopped: {answer}")
        return True

    def stop_at(self, address, stop=True):
        if self.ask(f"{'Z' if stop else 'z'}0,{address:x},1") != "OK":
            raise StepError(f"there can be no breakpoint at {address:#x}")

    def go_on(self):
        """To the next breakpoint; false if the program has ended instead."""
        return self.resume("c")

    def program_counter(self):
        return int.from_bytes(bytes.fromhex(self.ask(f"p{PROGRAM_COUNTER[self.architecture]:x}")), "little")

    def read(self, address):
        """Four bytes of code, which stays what it is from the first counted call on."""
        if address not in self.code:
            self.code[address] = int.from_bytes(bytes.fromhex(self.ask(f"m{address:x},4")), "little")
        return self.code[address]

    def step(self, address):
        """Executes the instruction at `address`, where the program is, and those that cannot be taken apart from it.
        Returns the addresses of all of them."""
        access = exclusive_access(self.architecture, address, self.read)
        if access is None:
            running = self.resume("s")
            return [address] if running else None
        addresses, exits = access
        for place in exits:
            self.stop_at(place)
        running = self.go_on()
        for place in exits:
            self.stop_at(place, stop=False)
        return addresses[:exits[self.program_counter()]] if running else None

    def addresses_until(self, end):
        """Of all instructions from here up to the one at `end`, which is not executed."""
        addresses = []
        while (address := self.program_counter()) != end:
            executed = self.step(address)
            if executed is None:
                raise StepError("the program ended in the middle of a call")
            addresses += executed
            if len(addresses) > STEPS_AT_MOST:
                raise StepError(f"no end after {STEPS_AT_MOST} instructions, at {address:#x}")
        return addresses
