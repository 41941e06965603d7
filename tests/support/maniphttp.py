"""Sends what the stock Go client sends, and understands of the answers what it does."""

import gzip
import json
import socket
import struct
import threading
import time
import uuid

import msgpack

from rawws import CLOSE, PING, PONG, TEXT, RawWebSocket

JSON, MSGPACK = "application/json", "application/msgpack"
RETRIED = (408, 423, 429, 502, 503, 504)
WAITS = (0, 1, 2, 4, 8)  # between tries, in seconds
HANDSHAKE_BODY_MAX = 1024


def encode(value, encoding):
    if encoding == JSON:
        return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()
    return msgpack.packb({key: value[key] for key in sorted(value)})


def decode(data, content_type):
    """By the answer's type, none meaning JSON; as strict as the client with times."""
    kind = (content_type or JSON).partition(";")[0]
    assert kind in (JSON, MSGPACK), f"the client cannot read {content_type}"
    return json.loads(data) if kind == JSON else msgpack.unpackb(data, timestamp=0)


class ClientError(Exception):
    """An answer that is an error array."""

    def __init__(self, status, errors):
        super().__init__(f"{status}: {errors}")
        self.status, self.errors = status, errors
        for error in errors:
            assert set(error) <= {"code", "data", "description", "subject", "title", "trace"}


class Answer:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body
        self.value = decode(body, headers.get("content-type")) if body else None

    def count(self):
        return int(self.headers["x-count-total"])


class Manipulator:
    """One keep-alive connection."""

    def __init__(self, port, encoding=JSON, token="tok", namespace="/bench", tls=None):
        self.port, self.encoding, self.tls = port, encoding, tls
        self.token, self.namespace = token, namespace
        self.file = None

    def _connect(self):
        connection = socket.create_connection(("127.0.0.1", self.port), timeout=20)
        if self.tls:
            connection = self.tls.wrap_socket(connection, server_hostname="127.0.0.1")
        self.file = connection.makefile("rwb")
        connection.close()  # the file keeps it open

    def close(self):
        if self.file:
            self.file.close()
            self.file = None

    def _head(self, method, path, body, fields, key):
        lines = [f"{method} {path} HTTP/1.1", f"Host: 127.0.0.1:{self.port}"]
        lines.append("User-Agent: Go-http-client/1.1")
        if body is not None:
            lines.append(f"Content-Length: {len(body)}")
        lines += [f"Accept: {self.encoding}", f"Authorization: Bearer {self.token}"]
        lines.append(f"Content-Type: {self.encoding}")
        if key:
            lines.append(f"Idempotency-Key: {key}")
        lines += [f"X-Fields: {field}" for field in fields]
        lines += [f"X-Namespace: {self.namespace}", "Accept-Encoding: gzip", "", ""]
        return "\r\n".join(lines).encode()

    def _exchange(self, request, method):
        if not self.file:
            self._connect()
        self.file.write(request)
        self.file.flush()
        status = self.file.readline()
        if not status:
            raise ConnectionError("the connection ended")
        headers = {}
        while (line := self.file.readline()) not in (b"\r\n", b""):
            name, _, value = line.decode("latin-1").partition(":")
            headers[name.lower()] = value.strip()
        code = int(status.split()[1])
        length = int(headers.get("content-length", "0"))
        body = b"" if method == "HEAD" or code == 204 else self.file.read(length)
        if headers.get("content-encoding") == "gzip":
            body = gzip.decompress(body)
        if headers.get("connection") == "close":
            self.close()
        return Answer(code, headers, body)

    def once(self, method, path, value=None, fields=()):
        """One try."""
        body = None if value is None else encode(value, self.encoding)
        key = str(uuid.uuid4()) if body is not None else None
        return self._exchange(self._head(method, path, body, fields, key) + (body or b""), method)

    def call(self, method, path, value=None, fields=()):
        """Retries what the client retries; every other error is raised."""
        body = None if value is None else encode(value, self.encoding)
        key = str(uuid.uuid4()) if body is not None else None
        request = self._head(method, path, body, fields, key) + (body or b"")
        pause = threading.Event()
        for wait in WAITS:
            pause.wait(wait)
            try:
                answer = self._exchange(request, method)
            except ConnectionError:
                self.close()
                continue
            if answer.status not in RETRIED:
                break
        if answer.status // 100 != 2:
            raise ClientError(answer.status, answer.value)
        return answer

    def pages(self, path, size):
        """The client's iteration: lazily, until there is no next one."""
        after = ""
        while True:
            answer = self.call("GET", f"{path}?{after}limit={size}")
            if not answer.value:
                return
            yield answer.value
            if "x-next" not in answer.headers:
                return
            after = f"after={answer.headers['x-next']}&"


class Refused(Exception):
    def __init__(self, status, errors):
        super().__init__(f"{status}: {errors}")
        self.status, self.errors = status, errors


class Subscriber:
    """Connects, sends its filter as the first frame, and again after each reconnect."""

    def __init__(self, port, encoding=JSON, token="tok", config=None, errors=True, tls=None):
        self.port, self.encoding, self.token, self.config = port, encoding, token, config
        self.errors, self.tls = errors, tls
        self.web = None
        self.statuses = []

    def path(self):
        query = f"namespace=%2Fbench&token={self.token}&mode=all"
        return f"/events?{query}&enableErrors=true" if self.errors else f"/events?{query}"

    def connect(self):
        headers = {
            "User-Agent": "Go-http-client/1.1",
            "Accept": self.encoding,
            "Content-Type": self.encoding,
        }
        try:
            self.web = RawWebSocket(self.port, self.path(), headers, seconds=20, tls=self.tls)
        except Exception as error:
            status = getattr(error, "status", None)
            if status is None:
                raise
            body = error.body[:HANDSHAKE_BODY_MAX]
            raise Refused(status, decode(body, self.encoding)) from None
        if self.config is not None:
            self.send(self.config)
        return self

    def send(self, config):
        """A filter, in a text frame whatever the encoding."""
        self.config = config
        self.web.send(TEXT, encode(config, self.encoding))

    def ping(self):
        """As every five seconds; the pong has to come."""
        self.web.send(PING)
        seen = []
        while True:
            _, _, opcode, payload = self.web.receive()
            if opcode == PONG:
                return seen
            seen.append((opcode, payload))

    def event(self):
        opcode, payload = self.web.message()
        if opcode == CLOSE:
            raise EOFError(f"close code {struct.unpack('>H', payload[:2])[0]}")
        event = decode(payload, self.encoding)
        if self.encoding == MSGPACK:
            event["entity"] = msgpack.unpackb(event["entity"], timestamp=0)
        return event

    def reconnect(self, seconds=20.0):
        """Tries on as the client does: at once, then with growing pauses."""
        pause, end = threading.Event(), time.monotonic() + seconds
        self.close()
        for number in range(1000):
            try:
                return self.connect()
            except (OSError, Refused):
                assert time.monotonic() < end, "the server did not come back"
                pause.wait(min(4**number - 1, 1000) / 1000)

    def close(self):
        if self.web:
            try:
                self.web.send(CLOSE, b"\x03\xe9")
            except OSError:
                pass
            self.web.close()
            self.web = None
