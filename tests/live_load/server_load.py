"""Servers on the loopback interface, and clients that check every answer."""
import mmap
import multiprocessing
import os
import random
import socket
import struct
import subprocess
import sys
import time

CALLS = ["epoll_wait", "epoll_pwait", "poll", "select", "read", "write", "recv", "send", "sendmsg", "recvmsg", "writev",
         "accept", "accept4", "nanosleep", "usleep"]


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def receive_until(connection, end):
    data = b""
    while not data.endswith(end):
        part = connection.recv(65536)
        if not part:
            raise ConnectionError(f"closed after {len(data)} bytes")
        data += part
    return data


def redis_requests(connection, number):
    """A batch of pipelined requests and their answers."""
    key, value = f"key:{number % 5000}", f"value-{number}-" + "x" * (number % 200)
    request = (f"SET {key} {value}\r\nGET {key}\r\nINCR counter:{os.getpid()}:{id(connection)}\r\n"
               f"LPUSH list:{number % 50} {number}\r\nLTRIM list:{number % 50} 0 20\r\nPING\r\n")
    connection.sendall(request.encode())
    answer = receive_until(connection, b"+PONG\r\n").decode()
    lines = answer.split("\r\n")
    if lines[0] != "+OK" or lines[2] != value or not lines[3].startswith(":") or lines[5] != "+OK":
        raise ValueError(f"redis answered {answer!r}")
    return 6


def memcached_requests(connection, number):
    key, value = f"key{os.getpid()}_{number % 5000}", f"value-{number}-" + "x" * (number % 900)
    connection.sendall(f"set {key} 0 0 {len(value)}\r\n{value}\r\nget {key}\r\n".encode())
    answer = receive_until(connection, b"END\r\n").decode()
    if answer != f"STORED\r\nVALUE {key} 0 {len(value)}\r\n{value}\r\nEND\r\n":
        raise ValueError(f"memcached answered {answer[:100]!r}")
    return 2


def http_requests(connection, number):
    connection.sendall(f"GET /{number % 20}.txt HTTP/1.1\r\nHost: a\r\n\r\n".encode())
    answer = receive_until(connection, b"--end--")
    expected = (f"file {number % 20} ".encode() * 100) + b"--end--"
    if not answer.startswith(b"HTTP/1.1 200") or not answer.endswith(b"\r\n\r\n" + expected):
        raise ValueError(f"the server answered {answer[:100]!r}")
    return 1


KINDS = {"redis": redis_requests, "memcached": memcached_requests, "lighttpd": http_requests}


H2LOAD_ANSWER = "requests: {0} total, {0} started, {0} done, {0} succeeded, 0 failed, 0 errored, 0 timeout"


def http2_load(program, port, connections, stop, results):
    """The load generator that comes with the server."""
    done, failed = 0, []
    each = 5000
    while not stop.is_set():
        file = random.randrange(20)
        process = subprocess.run([program, "-n", str(each), "-c", str(connections), "-m", "10", f"http://127.0.0.1:{port}/{file}.txt"],
                                 capture_output=True, text=True, check=False)
        done += each
        if H2LOAD_ANSWER.format(each) not in process.stdout or f"status codes: {each} 2xx" not in process.stdout:
            failed.append(process.stdout + process.stderr)
    results.put((done, failed))


def work(kind, port, connections, stop, results):
    request = KINDS[kind]
    random.seed(os.getpid())
    done, failed = 0, []
    open_ones = [None] * connections
    while not stop.is_set():
        at = random.randrange(connections)
        try:
            if open_ones[at] is None or random.random() < 0.001:  # now and then a new connection
                if open_ones[at] is not None:
                    open_ones[at].close()
                open_ones[at] = socket.create_connection(("127.0.0.1", port), timeout=10)
                open_ones[at].setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            done += request(open_ones[at], random.randrange(1 << 30))
        except (OSError, ValueError) as error:
            failed.append(f"{type(error).__name__}: {error}")
            open_ones[at] = None
            time.sleep(0.01)
    results.put((done, failed))


class Load:
    def __init__(self, kind, program, port, processes=2, connections=16):
        self.stop_event = multiprocessing.Event()
        self.results = multiprocessing.Queue()
        target, first = (work, kind)
        if kind == "nghttpd":
            target, first = (http2_load, os.path.join(os.path.dirname(program), "h2load"))
        self.processes = [multiprocessing.Process(target=target, daemon=True,
                                                  args=(first, port, connections, self.stop_event, self.results))
                          for _ in range(processes)]
        for process in self.processes:
            process.start()

    def stop(self):
        self.stop_event.set()
        done, failed = 0, []
        for _ in self.processes:
            its, its_failed = self.results.get(timeout=30)
            done += its
            failed += its_failed
        return done, failed


class Server:
    def __init__(self, what, directory, counter=None):
        self.kind, _, program = what.partition("=")
        self.program = program = os.path.abspath(program)  # the server has a folder of its own
        self.port = free_port()
        self.counts_file = os.path.join(directory, "counts")
        environment = dict(os.environ)
        if counter:
            environment.update(LD_PRELOAD=os.path.abspath(counter), EINTR_FILE=self.counts_file)
        if self.kind == "redis":
            command = [program, "--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no",
                       "--dir", directory, "--loglevel", "warning"]
        elif self.kind == "memcached":
            command = [program, "-l", "127.0.0.1", "-p", str(self.port), "-U", "0", "-u", "root", "-t", "4", "-m", "64"]
        else:
            root = os.path.join(directory, "www")
            os.mkdir(root)
            for n in range(20):
                with open(os.path.join(root, f"{n}.txt"), "w") as file:
                    file.write(f"file {n} " * 100 + "--end--")
        if self.kind == "nghttpd":
            command = [program, "--no-tls", "-a", "127.0.0.1", "-d", root, "-n", "4", str(self.port)]
        elif self.kind == "lighttpd":
            configuration = os.path.join(directory, "lighttpd.conf")
            with open(configuration, "w") as file:
                file.write(f'server.document-root = "{root}"\nserver.port = {self.port}\nserver.bind = "127.0.0.1"\n'
                           'server.max-keep-alive-requests = 1000000\n'
                           'mimetype.assign = ( ".txt" => "text/plain" )\n')
            # src/lighttpd in the source tree; its modules are in src/.libs.
            modules = os.path.join(os.path.dirname(program), ".libs")
            command = [program, "-D", "-f", configuration, "-m", modules]
        with open(os.path.join(directory, "server.log"), "wb") as log:
            self.process = subprocess.Popen(command, env=environment, stdout=log, stderr=log, cwd=directory)
        for _ in range(200):
            try:
                socket.create_connection(("127.0.0.1", self.port)).close()
                break
            except OSError:
                time.sleep(0.05)
        else:
            sys.exit("the server does not start: " + open(os.path.join(directory, "server.log")).read())
        self.pid = self.process.pid

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()

    def start_load(self, **arguments):
        return Load(self.kind, self.program, self.port, **arguments)

    def is_running(self):
        return self.process.poll() is None

    def end(self):
        return self.process.wait()

    def counts(self):
        """All calls that were counted, and those that ended with EINTR, by name."""
        if not os.path.exists(self.counts_file):
            return 0, {}
        with open(self.counts_file, "rb") as file, mmap.mmap(file.fileno(), 4096, access=mmap.ACCESS_READ) as counts:
            pairs = struct.unpack_from(f"{2 * len(CALLS)}Q", counts)
        interrupted = {name: pairs[2 * i + 1] for i, name in enumerate(CALLS) if pairs[2 * i + 1]}
        return sum(pairs[::2]), interrupted
