"""Exchanges recorded with a real bahamut, replayed: what comes back is the same, byte for byte, but
for IDs, times, traces and what tests/traces says differs on purpose."""

import json
import os
import socket

import pytest

import traces
from programs import KUJATA, Node

TRACE_SERVER = os.environ.get("KUJATA_TRACE_SERVER", "trace_server")

SERVE = [KUJATA, "serve", "--listen", "127.0.0.1:0", "--model", traces.MODEL]
TRACE = [TRACE_SERVER, "--model", traces.MODEL]
SERVERS = {
    "plain": TRACE,
    "without_users": [*TRACE, "--without", "user"],
    "token": [*TRACE, "--token", "T0k3n"],
    "read_only": [*SERVE, "--read-only"],
    "rate_limited": [*SERVE, "--rate-limit", "1"],
    "cors": [*SERVE, "--cors-origin", "mirror"],
    "prefix": [*SERVE, "--api-prefix", "/api"],
    "meta": [*SERVE, "--service-name", "bahamut-bench", "--service-version", "bench=1.0"],
}


def parameters(exchanges):
    return [
        pytest.param(exchange, id=exchange.name, marks=marks(exchange)) for exchange in exchanges
    ]


def marks(exchange):
    is_lenient = os.environ.get("KUJATA_OWN_CIVETWEB") == "0" and "own_civetweb" in exchange.keys
    return [pytest.mark.skip(reason="the system's civetweb is more lenient")] if is_lenient else []


class Replay:
    """A server that has been sent every exchange of its part of a file, in order."""

    def __init__(self, command, exchanges):
        self.answers = {}
        self.ids = traces.Ids()
        self.node = Node(program=command)
        for exchange in exchanges:
            try:
                self.answers[exchange.name] = self.send(exchange)
            except (OSError, AssertionError) as error:
                self.answers[exchange.name] = error

    def send(self, exchange):
        for _ in range(int(exchange.keys.get("times", 1))):
            answer = self._send(exchange)
        self.ids.learn(exchange.expected, answer[0])
        return answer

    def _send(self, exchange):
        """The bytes that came back, and whether the connection is closed."""
        request = self.ids.now(exchange.request)
        methods = traces.methods(request)
        expected = exchange.expected
        frames = expected.partition(b"\r\n\r\n")[2] if b" 101 " in expected else b""
        with socket.create_connection(("127.0.0.1", self.node.port), timeout=20) as connection:
            try:
                connection.sendall(request)
            except ConnectionError:
                pass  # it answered before it had read everything
            received, is_closed = traces.receive(connection, expected.count(b"HTTP/1."), methods)
            while not received.endswith(frames) and not is_closed:
                part = connection.recv(1 << 18)
                received, is_closed = received + part, not part
            if "closes" in exchange.keys and not is_closed:
                is_closed = connection.recv(1) == b""
        return received, is_closed


@pytest.fixture(scope="module")
def replays():
    """replays(file, server): the answers of that part."""
    made = {}

    def replay(file, server):
        key = file, server
        if key not in made:
            exchanges = [e for e in traces.load(file) if e.server == server]
            made[key] = Replay(SERVERS[server], exchanges)
        return made[key]

    yield replay
    for each in made.values():
        each.node.stop()


def comparable(data, request):
    answers = traces.split(data, traces.methods(request))
    return b"".join(answer.normalised() for answer in answers)


def check(replay, exchange):
    answer = replay.answers[exchange.name]
    if isinstance(answer, Exception):
        raise answer
    received, is_closed = answer
    expected = replay.ids.now(exchange.expected)
    assert comparable(received, exchange.request) == comparable(expected, exchange.request)
    assert is_closed == ("closes" in exchange.keys)


@pytest.mark.parametrize("exchange", parameters(traces.load("rest.txt")))
def test_rest(replays, exchange):
    check(replays("rest.txt", exchange.server), exchange)


@pytest.mark.parametrize("exchange", parameters(traces.load("handshake.txt")))
def test_handshake(replays, exchange):
    check(replays("handshake.txt", exchange.server), exchange)


def test_expect_continue(node_of_traces):
    head = b"POST /v/1/lists HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
    head += b"Expect: 100-continue\r\nContent-Length: 14\r\n\r\n"
    with socket.create_connection(("127.0.0.1", node_of_traces.port), timeout=20) as connection:
        connection.sendall(head)
        before, _ = traces.receive(connection, 1, [b"POST"])
        assert before == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(b'{"name":"100"}')
        after, _ = traces.receive(connection, 1, [b"POST"])
    assert after.startswith(b"HTTP/1.1 200 OK\r\n")
    assert json.loads(traces.split(after, [b"POST"])[0].body)["name"] == "100"


@pytest.mark.parametrize(
    "accepted, coding",
    [
        ("gzip", "gzip"),
        (None, None),
        ("gzip;q=0", None),
        ("identity", None),
        ("deflate, gzip;q=0.5", "gzip"),
        ("*", None),
    ],
)
def test_compression(node_of_traces, accepted, coding):
    path = f"/v/1/lists/{node_of_traces.create('/v/1/lists', name='n' * 1600)['ID']}"
    answer = node_of_traces.request("GET", path, headers={"Accept-Encoding": accepted})
    assert answer.headers.get("Content-Encoding") == coding
    assert answer.headers["Vary"] == "Accept-Encoding"
    assert int(answer.headers["Content-Length"]) < 1600 or not coding
    assert answer.json()["name"] == "n" * 1600


@pytest.mark.parametrize("size, coding", [(1399, None), (1400, "gzip")])
def test_compression_begins_at_1400_bytes(node_of_traces, size, coding):
    made = node_of_traces.create("/v/1/lists", name="n")
    path = f"/v/1/lists/{made['ID']}"
    unfilled = len(node_of_traces.request("GET", path).content)
    node_of_traces.request("PUT", path, json={"name": "n", "description": "x" * (size - unfilled)})
    answer = node_of_traces.request("GET", path, headers={"Accept-Encoding": "gzip"})
    assert len(answer.content) == size
    assert answer.headers["Vary"] == "Accept-Encoding"
    assert answer.headers.get("Content-Encoding") == coding


# ---- bodies ----

EMPTY = {
    "creationOnly": "",
    "date": None,
    "description": "",
    "name": "",
    "parentID": "",
    "parentType": "root",
    "readOnly": "",
    "secret": "",
    "slice": [],
}


@pytest.fixture(scope="module")
def node_of_traces():
    node = Node(program=TRACE)
    yield node
    node.stop()


@pytest.mark.parametrize("body", parameters(traces.load("decoding.txt")))
def test_decoding(node_of_traces, body):
    content_type = "application/msgpack" if body.server == "msgpack" else "application/json"
    answer = node_of_traces.request(
        "POST", "/v/1/lists", data=body.request, headers={"Content-Type": content_type}
    )
    status, _, rest = body.expected.decode().partition(" ")
    assert answer.status_code == int(status), answer.text
    found = answer.json()
    if answer.status_code == 200:
        assert len(found.pop("ID")) == 24
        assert found == {**EMPTY, **json.loads(rest)}
    elif "words" in body.keys:
        assert found[0]["description"].startswith(f"unable to decode {content_type}: ")
    else:
        assert found[0]["description"] == rest


@pytest.mark.parametrize("row", traces.rows("escapes.txt"), ids=lambda row: row[0])
def test_escapes(node_of_traces, row):
    name = bytes.fromhex(row[0])
    data = b"\x81\xa4name" + bytes([0xA0 | len(name)]) + name
    headers = {"Content-Type": "application/msgpack"}
    answer = node_of_traces.request("POST", "/v/1/lists", data=data, headers=headers)
    expected = name if row[-1] == "=" else row[-1].encode()
    assert b'"name":"' + expected + b'",' in answer.content


@pytest.mark.parametrize("size", [2047, 2048, 2049])
def test_answers_have_a_length(node_of_traces, size):
    """bahamut's are chunked beyond 2048 bytes."""
    made = node_of_traces.create("/v/1/lists", name="n")
    path = f"/v/1/lists/{made['ID']}"
    unfilled = len(node_of_traces.request("GET", path).content)
    node_of_traces.request("PUT", path, json={"name": "n", "description": "x" * (size - unfilled)})
    answer = node_of_traces.request("GET", path, headers={"Accept-Encoding": "identity"})
    assert answer.headers["Content-Length"] == str(size) == str(len(answer.content))
