"""Events on subjects of their identity and type (--subject-hierarchies)."""

import json
import socket

import msgpack

from deadline import eventually
from rawws import PING, TEXT, RawWebSocket


def read_event(session):
    opcode, payload = session.message()
    assert opcode == TEXT, payload
    return json.loads(payload)


def write_some(node):
    """Four events of three subjects, in order."""
    node.create("/lists", name="one")
    task = node.create(title="two")
    node.create("/lists", name="three")
    assert node.request("DELETE", f"/tasks/{task['ID']}").status_code < 300
    return [("list", "create"), ("task", "create"), ("list", "create"), ("task", "delete")]


def read_kinds(session, count):
    events = [read_event(session) for _ in range(count)]
    return [(event["identity"], event["type"]) for event in events]


def test_a_node_hears_itself_in_order(serve):
    node = serve("--subject-hierarchies", "--topic", "hier.archy")
    session = RawWebSocket(node.port)
    session.send(PING, b"open")
    assert session.receive()[3] == b"open"
    written = write_some(node)
    assert read_kinds(session, 4) == written


def test_nodes_hear_each_other_and_the_wire_is_bahamut_s(serve, broker):
    nodes = [serve("--pubsub", broker.url, "--subject-hierarchies", "--topic", "hier") for _ in range(2)]
    spy = socket.create_connection(("127.0.0.1", broker.port), timeout=30)
    stream = spy.makefile("rb")
    spy.sendall(b'CONNECT {"verbose":false}\r\nSUB hier.list.* 1\r\nPING\r\n')
    while stream.readline() != b"PONG\r\n":
        pass
    session = RawWebSocket(nodes[1].port)

    def joined():
        nodes[0].create(title="hello")
        return session.has_data(0.2)

    eventually(joined, what="hearing the other node")
    nodes[0].create(title="begin")
    while read_event(session)["entity"]["title"] != "begin":
        pass
    written = write_some(nodes[0])
    assert read_kinds(session, 4) == written

    heard = []
    while len(heard) < 2:
        line = stream.readline().split()
        if line[:1] != [b"MSG"]:
            continue
        publication = msgpack.unpackb(stream.read(int(line[-1])))
        event = msgpack.unpackb(publication["data"], timestamp=0)
        assert (line[1], publication["topic"]) == (b"hier.list.create", "hier.list.create")
        assert publication["encoding"] == "application/msgpack"
        assert publication["trackingData"] == {}
        heard.append(msgpack.unpackb(event["entity"])["name"])
    assert heard == ["one", "three"]
    spy.close()


def test_what_bahamut_publishes_on_a_long_subject_is_heard(serve, broker):
    node = serve("--pubsub", broker.url, "--subject-hierarchies", "--topic", "hier", "--shards", "1")
    session = RawWebSocket(node.port)
    session.send(PING, b"open")
    assert session.receive()[3] == b"open"
    event = {
        "encoding": "application/json",
        "entity": msgpack.packb({"ID": "1", "name": "from afar"}),
        "identity": "list",
        "timestamp": None,
        "type": "create",
    }
    event["encoding"] = "application/msgpack"
    event["timestamp"] = msgpack.Timestamp(4102444800, 0)
    publication = {
        "data": msgpack.packb(event),
        "encoding": "application/msgpack",
        "topic": "hier.list.create",
        "trackingData": {},
    }
    body = msgpack.packb(publication)
    with socket.create_connection(("127.0.0.1", broker.port), timeout=30) as other:
        head = f"PUB hier.list.create {len(body)}\r\n".encode()
        other.sendall(b'CONNECT {"verbose":false}\r\n')

        def heard():
            other.sendall(head + body + b"\r\n")
            return session.has_data(0.2)

        eventually(heard, what="hearing the publication")
    assert read_event(session)["entity"]["name"] == "from afar"
