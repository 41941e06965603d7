"""Two nodes on one broker."""

import itertools
import json
import socket

import msgpack

from deadline import eventually
from fleet import create_all, numbers_of
from programs import Broker, free_port
from rawnats import RawNats
from rawws import TEXT, RawWebSocket

numbers = itertools.count()


def read_event(session):
    opcode, payload = session.message()
    assert opcode == TEXT, payload
    return json.loads(payload)


def wait_until_joined(writer, session):
    """Writes until a write is heard, and reads up to the last: the way between is open then,
    and empty."""
    last = f"goodbye {next(numbers)}"

    def heard():
        name = f"hello {next(numbers)}"
        writer.create("/lists", name=name)
        while session.has_data(0.2):
            if read_event(session)["entity"].get("name") == name:
                return True
        return False

    eventually(heard, what="hearing the other node")
    writer.create("/lists", name=last)
    while read_event(session)["entity"].get("name") != last:
        pass


def test_what_is_written_on_one_node_is_heard_on_both(serve, broker):
    nodes = [serve("--pubsub", broker.url) for _ in range(2)]
    sessions = [RawWebSocket(node.port) for node in nodes]
    wait_until_joined(nodes[0], sessions[1])
    wait_until_joined(nodes[1], sessions[0])

    made = nodes[0].create(title="across")
    for session in sessions:
        event = read_event(session)
        while event["identity"] != "task":
            event = read_event(session)
        assert event["entity"]["ID"] == made["ID"]


def test_a_burst_crosses_the_broker_in_order(serve, broker):
    nodes = [serve("--pubsub", broker.url) for _ in range(2)]
    session = RawWebSocket(nodes[1].port)
    wait_until_joined(nodes[0], session)
    create_all(nodes[0].port, 1000)
    received, _, _ = numbers_of(session, 1000)
    assert received == list(range(1000))


def test_topics_keep_clusters_on_one_broker_apart(serve, broker):
    ours = [serve("--pubsub", broker.url, "--topic", "ours") for _ in range(2)]
    theirs = serve("--pubsub", broker.url, "--topic", "theirs")
    session = RawWebSocket(ours[1].port)
    wait_until_joined(ours[0], session)
    wait_until_joined(theirs, RawWebSocket(theirs.port))
    theirs.create(title="theirs")
    ours[0].create(title="ours")
    assert read_event(session)["entity"]["title"] == "ours"


def test_a_publication_is_what_bahamut_writes(serve, broker):
    """Reads the wire with a client of four commands."""
    node = serve("--pubsub", broker.url)
    spy = socket.create_connection(("127.0.0.1", broker.port), timeout=30)
    stream = spy.makefile("rb")
    spy.sendall(b'CONNECT {"verbose":false}\r\nSUB events 1\r\nPING\r\n')
    while stream.readline() != b"PONG\r\n":
        pass
    wait_until_joined(node, RawWebSocket(node.port))
    made = node.create(title="on the wire")
    while True:
        line = stream.readline().split()
        if line[:1] != [b"MSG"]:
            continue
        publication = msgpack.unpackb(stream.read(int(line[-1])))
        event = msgpack.unpackb(publication["data"], timestamp=0)
        if event["identity"] == "task":
            break
    assert publication["topic"] == "events"
    assert publication["encoding"] == event["encoding"] == "application/msgpack"
    assert msgpack.unpackb(event["entity"])["ID"] == made["ID"]
    spy.close()


def test_a_trace_travels_with_the_events_of_its_request(serve, broker):
    node = serve("--pubsub", broker.url, "--print-counters")
    spy = RawNats(broker.port, "events")
    session = RawWebSocket(node.port)
    wait_until_joined(node, session)
    trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    headers = {"traceparent": trace, "tracestate": "a=1", "X-External-Tracking-ID": "job 7"}
    node.request("POST", "/tasks", json={"title": "traced"}, headers=headers)
    headers = {"traceparent": trace.upper()}
    node.request("POST", "/tasks", json={"title": "not traced"}, headers=headers)
    tracking = []
    while len(tracking) < 2:
        publication = msgpack.unpackb(spy.message()[2])
        if msgpack.unpackb(publication["data"], timestamp=0)["identity"] == "task":
            tracking.append(publication["trackingData"])
    assert tracking == [
        {"traceparent": trace, "tracestate": "a=1", "x-external-tracking-id": "job 7"},
        {},
    ]
    spy.close()
    event = read_event(session)
    while event["entity"].get("title") != "traced":
        event = read_event(session)
    assert sorted(event) == ["encoding", "entity", "identity", "timestamp", "type"]
    assert node.counters()["tracking_ignored_total"] == 1


def test_nodes_outlive_their_broker(serve, broker):
    node = serve("--pubsub", broker.url)
    session = RawWebSocket(node.port)
    wait_until_joined(node, session)
    broker.stop()
    eventually(lambda: "is away" in node.stderr(), what="noticing it")
    assert node.request("POST", "/tasks", json={"title": "meanwhile"}).status_code == 200
    again = Broker(port=broker.port)
    try:
        event = read_event(session)
        assert event["entity"]["title"] == "meanwhile"
    finally:
        again.stop()


def test_what_waits_for_the_broker_at_the_end_is_counted_and_told(serve):
    node = serve("--pubsub", f"nats://127.0.0.1:{free_port()}", "--print-counters")
    for number in range(3):
        node.create(title="lost", number=number)
    counters = node.counters()
    assert counters["pubsub_discarded_total"] == 3
    assert "are lost as the node stops: 3" in node.stderr()
