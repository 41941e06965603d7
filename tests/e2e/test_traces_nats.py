"""What a real bahamut published over NATS and what it took from there, replayed with a nats-server
and a client of its own protocol."""

import json
import os
import socket
import threading
import time

import msgpack
import pytest

import traces
from deadline import eventually
from programs import Broker, Node, find_broker
from rawws import BINARY, TEXT
from test_traces import TRACE, parameters
from test_traces_push import frames_until_pong, session

JSON, MSGPACK = "application/json", "application/msgpack"

pytestmark = pytest.mark.skipif(not find_broker(), reason="there is no nats-server")


class NatsClient:
    """The text protocol of NATS over a socket."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=20)
        self.file = self.socket.makefile("rwb")
        self.file.readline()  # INFO
        self.send(b'CONNECT {"verbose":false,"pedantic":false,"headers":false}\r\n')

    def send(self, data):
        self.file.write(data)
        self.file.flush()

    def line(self):
        """The next one that is no PING, which is answered."""
        while (line := self.file.readline()) == b"PING\r\n":
            self.send(b"PONG\r\n")
        return line

    def sync(self):
        """Returns when the broker has taken what was sent."""
        self.send(b"PING\r\n")
        assert self.line() == b"PONG\r\n"

    def publish(self, topic, data, reply=""):
        self.send(f"PUB {topic} {reply} {len(data)}\r\n".encode() + data + b"\r\n")

    def message(self):
        """(the line, the payload) of the next one."""
        line = self.line()
        payload = self.file.read(int(line.split()[-1]))
        assert self.file.read(2) == b"\r\n"
        return line, payload


@pytest.fixture(scope="module")
def cluster():
    broker = Broker()
    node = Node(program=[*TRACE, "--pubsub", broker.url])
    client = NatsClient(broker.port)
    yield node, client
    node.stop()
    broker.stop()


def now_ns():
    return time.time_ns()


def event(entity, at=None, **members):
    """A msgpack event about an entity that is msgpack."""
    full = {
        "encoding": MSGPACK,
        "entity": entity,
        "identity": "list",
        "timestamp": msgpack.Timestamp.from_unix_nano(at or now_ns()),
        "type": "create",
    }
    full.update(members)
    return msgpack.packb({key: value for key, value in full.items() if value is not None})


def publication(data, **members):
    full = {"data": data, "encoding": MSGPACK, "topic": "events", "trackingData": {}}
    full.update(members)
    return msgpack.packb({key: value for key, value in full.items() if value is not None})


# ---- what is published ----


@pytest.mark.parametrize("exchange", parameters(traces.load("publications.txt")))
def test_publications(exchange):
    broker = Broker()
    node = Node(program=[*TRACE, "--pubsub", broker.url, *exchange.keys["flags"].split()])
    client = NatsClient(broker.port)
    client.send(b"SUB > 1\r\n")
    client.sync()
    made = node.request(
        "POST", "/v/1/lists", data=exchange.request, headers={"Content-Type": JSON}
    )
    assert made.status_code == 200
    line, payload = client.message()
    ids = traces.Ids()
    ids.learn(exchange.expected, payload)
    assert line == exchange.keys["line"].encode() + b"\r\n"
    assert traces.forget_time(payload) == traces.forget_time(ids.now(exchange.expected))
    node.stop()
    broker.stop()


class Tap:
    """Stands before a broker and keeps what is said to it, on each connection."""

    def __init__(self, broker_port):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.broker_port = broker_port
        self.said = []
        self._begin(self._accept)

    @staticmethod
    def _begin(function, *arguments):
        threading.Thread(target=function, args=arguments, daemon=True).start()

    def _accept(self):
        while True:
            client, _ = self.listener.accept()
            broker = socket.create_connection(("127.0.0.1", self.broker_port))
            self.said.append(bytearray())
            self._begin(self._copy, client, broker, self.said[-1])
            self._begin(self._copy, broker, client, bytearray())

    @staticmethod
    def _copy(source, target, kept):
        try:
            while data := source.recv(1 << 16):
                kept += data
                target.sendall(data)
        except OSError:
            pass
        target.close()

    def heard(self, data):
        return any(data in said for said in self.said)


def test_what_a_node_says_to_a_broker(broker):
    """CONNECT is the library's own; publications have a connection of theirs."""
    tap = Tap(broker.port)
    node = Node(program=[*TRACE, "--pubsub", f"nats://127.0.0.1:{tap.port}"])
    node.create("/v/1/lists", name="x")
    publication_starts = b"\r\nPUB events 269\r\n\x84\xa4data\xc4\xcd\x85"
    eventually(lambda: tap.heard(publication_starts), what="the publication")
    assert tap.heard(b"\r\nSUB events  1\r\n")
    assert all(said.startswith(b"CONNECT {") for said in tap.said)
    node.stop()


# ---- what is taken ----

ENTITY = msgpack.packb({"ID": "1", "name": "fromnats"})
FROM_NATS = '{"encoding":"application/json","entity":%s,"identity":"%s","timestamp":"%s","type":"%s"}'


def json_event(at):
    seconds = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at // 10**9))
    return (
        '{"encoding":"application/json","entity":{"ID": "2", "name": "j"},"identity":"list",'
        f'"timestamp":"{seconds}","type":"create"}}'
    ).encode()


def whole_second_ns():
    """A second that begins after every session there is; the recorded events have no fraction."""
    return (now_ns() // 10**9 + 2) * 10**9


# name: what is published, given a time; what a JSON session gets: its entity, identity and type
TAKEN = {
    "msgpack_event": (
        lambda at: publication(event(ENTITY, at)),
        ('{"ID":"1","name":"fromnats"}', "list", "create"),
    ),
    "json_event": (
        lambda at: publication(json_event(at), encoding=JSON),
        ('{"ID": "2", "name": "j"}', "list", "create"),
    ),
    "without_topic": (
        lambda at: publication(event(ENTITY, at, type="update"), topic=None),
        ('{"ID":"1","name":"fromnats"}', "list", "update"),
    ),
    "without_encoding": (lambda at: publication(event(ENTITY, at), encoding=None), None),
    "unknown_identity_and_type": (
        lambda at: publication(event(ENTITY, at, identity="zebra", type="gallop")),
        ('{"ID":"1","name":"fromnats"}', "zebra", "gallop"),
    ),
    # bahamut sends an empty frame
    "event_without_encoding": (lambda at: publication(event(ENTITY, at, encoding=None)), None),
    "older_than_the_session": (lambda at: publication(event(ENTITY, at - 10**13)), None),
    "without_time": (lambda at: publication(event(ENTITY, at, timestamp=None)), None),
    "garbage": (lambda at: b"\x01garbage", None),
}


@pytest.mark.parametrize("make, seen", TAKEN.values(), ids=TAKEN.keys())
def test_what_is_taken(cluster, make, seen):
    node, client = cluster
    web = session(node)
    at = whole_second_ns()
    client.publish("events", make(at))
    client.publish("events", publication(event(msgpack.packb({"ID": "last"}))))
    client.sync()
    if seen:
        entity, identity, kind = seen
        seconds = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at // 10**9))
        assert web.message() == (TEXT, (FROM_NATS % (entity, identity, seconds, kind)).encode())
    assert json.loads(web.message()[1])["entity"] == {"ID": "last"}
    web.close()


def test_a_publication_that_wants_it_is_acknowledged(cluster):
    node, client = cluster
    client.send(b"SUB my.inbox 1\r\n")
    client.publish("events", publication(event(ENTITY), responseMode=1), reply="my.inbox")
    client.socket.settimeout(3)
    line, payload = client.message()
    assert (line, payload) == (b"MSG my.inbox 1 3\r\n", b"ack")


# ---- 3.1 conversions ----


def conversions():
    path = os.path.join(traces.FOLDER, "conversions.txt")
    found = {}
    with open(path, encoding="utf-8") as file:
        for line in file:
            line = line.rstrip("\n")
            if line.startswith("@ "):
                rows = found.setdefault(line[2:], [])
            elif line and not line.startswith("#"):
                rows.append(line.split("\t"))
    return found


def expected(row):
    """What follows in a row: bahamut's form, and ours where it differs."""
    return row[2] if len(row) > 2 else row[1]


@pytest.mark.parametrize("row", conversions()["msgpack"], ids=lambda row: row[0][:40])
def test_msgpack_entities_for_json_sessions(cluster, row):
    node, client = cluster
    web = session(node)
    entity = b"\x81\xa1v" + bytes.fromhex(row[0])
    client.publish("events", publication(event(entity)))
    client.publish("events", publication(event(msgpack.packb({"ID": "last"}))))
    if expected(row) != "dropped":
        payload = web.message()[1]
        start = payload.index(b'"entity":') + len(b'"entity":')
        found = payload[start : payload.index(b',"identity":')]
        assert found.decode() == '{"v":' + expected(row) + "}"
    assert json.loads(web.message()[1])["entity"] == {"ID": "last"}
    web.close()


@pytest.mark.parametrize("row", conversions()["json"], ids=lambda row: row[0][:40])
def test_json_entities_for_msgpack_sessions(cluster, row):
    node, client = cluster
    web = session(node, MSGPACK)
    seconds = time.gmtime(now_ns() // 10**9)  # of the clock sessions go by
    moment = time.strftime("%Y-%m-%dT%H:%M:%S", seconds) + ".999999999Z"
    text = FROM_NATS % ('{"v":' + row[0] + "}", "list", moment, "create")
    client.publish("events", publication(text.encode(), encoding=JSON))
    client.publish("events", publication(event(msgpack.packb({"ID": "last"}))))
    if expected(row) != "dropped":
        opcode, payload = web.message()
        assert opcode == BINARY
        entity = msgpack.unpackb(payload, strict_map_key=False)["entity"]
        assert entity == b"\x81\xa1v" + bytes.fromhex(expected(row))
    assert msgpack.unpackb(web.message()[1])["entity"] == msgpack.packb({"ID": "last"})
    web.close()
