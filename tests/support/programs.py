"""Starts programs on ports of 127.0.0.1 and ends them with a look at how they ended."""

import os
import queue
import random
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import threading

import requests

from deadline import eventually

KUJATA = os.environ.get("KUJATA_PROGRAM", "kujata")
MODEL = os.path.join(os.path.dirname(__file__), "..", "e2e", "model.json")
SANITIZED = os.environ.get("KUJATA_SANITIZED", "") != ""
REPORT = re.compile(r"Sanitizer|runtime error:")


def free_port():
    """For programs that cannot pick one themselves: none that the system may give to another."""
    while True:
        port = random.randrange(12000, 30000)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


class Program:
    """A child process whose lines on stdout can be waited for."""

    def __init__(self, *command, **options):
        self.errors = tempfile.TemporaryFile()
        self.process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=self.errors,
            stdin=subprocess.DEVNULL,
            **options,
        )
        self.lines = queue.Queue()
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self):
        for line in self.process.stdout:
            self.lines.put(line.decode().rstrip("\n"))
        self.lines.put(None)

    @property
    def pid(self):
        return self.process.pid

    def line(self, seconds=20.0):
        """The next line; None at the end of the output."""
        try:
            return self.lines.get(timeout=seconds)
        except queue.Empty:
            raise AssertionError(f"no line within {seconds} s; stderr: {self.stderr()}") from None

    def stderr(self):
        self.errors.seek(0)
        return self.errors.read().decode(errors="replace")

    def signal(self, number=signal.SIGTERM):
        self.process.send_signal(number)

    def wait(self, seconds=60.0):
        code = self.process.wait(timeout=seconds)
        self.reader.join(seconds)
        return code

    def stop(self):
        """Ends it as a service manager does, and insists that it ends well."""
        if self.process.poll() is None:
            self.signal()
        try:
            code = self.wait()
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"did not end on SIGTERM; stderr: {self.stderr()}") from None
        assert not REPORT.search(self.stderr()), self.stderr()
        assert code == 0, f"ended with {code}; stderr: {self.stderr()}"

    def threads(self):
        return len(os.listdir(f"/proc/{self.pid}/task"))


class Node(Program):
    """`kujata serve` on a port it picked."""

    def __init__(self, *flags, program=None, listen="127.0.0.1:0", **options):
        command = program or [KUJATA, "serve", "--model", MODEL, "--listen", listen]
        super().__init__(*command, *flags, **options)
        line = self.line()
        host = re.escape(listen.rpartition(":")[0])
        match = re.fullmatch(rf"kujata: listening on (https?://{host}):(\d+)", line or "")
        if not match:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"printed {line!r}; stderr: {self.stderr()}")
        self.port = int(match[2])
        self.url = f"{match[1]}:{self.port}"
        self.http = requests.Session()
        self.http.trust_env = False

    def request(self, method, path, **options):
        return self.http.request(method, self.url + path, timeout=30, **options)

    def counters(self):
        """Ends a node that was started with --print-counters."""
        self.stop()
        lines = iter(lambda: self.line(), None)
        return {name: int(value) for name, value in (line.split() for line in lines)}

    def handed_over(self):
        """Sockets that sessions own: the hand-over moves them above civetweb's low numbers."""
        return sum(int(name) >= 256 for name in os.listdir(f"/proc/{self.pid}/fd"))

    def create(self, path="/tasks", **attributes):
        answer = self.request("POST", path, json=attributes)
        assert answer.status_code == 200, answer.text
        return answer.json()


class Broker(Program):
    """A nats-server of our own."""

    def __init__(self, *flags, port=None):
        self.port = port or free_port()
        super().__init__(find_broker(), "-a", "127.0.0.1", "-p", str(self.port), *flags)
        eventually(self._answers, what="the broker's port")

    def _answers(self):
        assert self.process.poll() is None, self.stderr()
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    @property
    def url(self):
        return f"nats://127.0.0.1:{self.port}"

    def stop(self):
        if self.process.poll() is None:
            self.signal(signal.SIGTERM)
        self.wait()


def find_broker():
    """The path of nats-server, which lives in sbin, or None."""
    return shutil.which("nats-server") or shutil.which(
        "nats-server", path="/usr/sbin:/usr/local/bin:/usr/local/sbin"
    )
