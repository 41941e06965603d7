"""What was recorded on websockets of a real bahamut, replayed: events, push configs, frames."""

import json
import socket

import pytest

import traces
from deadline import eventually
from programs import Node
from rawws import BINARY, CLOSE, PING, PONG, TEXT, RawWebSocket
from test_traces import SERVERS, parameters

JSON, MSGPACK = "application/json", "application/msgpack"


@pytest.fixture(scope="module")
def server():
    node = Node(program=SERVERS["plain"])
    yield node
    node.stop()


def session(node, encoding=JSON, url="/events"):
    return RawWebSocket(node.port, url, {"Accept": encoding, "Content-Type": encoding}, seconds=20)


def send_request(node, request):
    """The body of the answer."""
    with socket.create_connection(("127.0.0.1", node.port), timeout=20) as connection:
        connection.sendall(request)
        data, _ = traces.receive(connection, 1, traces.methods(request))
    return traces.split(data, traces.methods(request))[0].body


# ---- events ----


@pytest.fixture(scope="module")
def heard(server):
    """For each recorded write, the body of its answer and what two sessions heard of it."""
    sessions = {"j": session(server), "m": session(server, MSGPACK)}
    ids = traces.Ids()
    found = {}
    for exchange in traces.load("events.txt"):
        body = send_request(server, ids.now(exchange.request))
        expected = exchange.events
        messages = {mark: [each.message() for _ in expected] for mark, each in sessions.items()}
        if exchange.message("<"):
            ids.learn(exchange.message("<"), body)
        for recorded, (_, payload) in zip(expected, messages["j"]):
            ids.learn(recorded, payload)
        found[exchange.name] = body, messages
    for each in sessions.values():
        each.close()
    return ids, found


@pytest.mark.parametrize("exchange", parameters(traces.load("events.txt")))
def test_events(heard, exchange):
    ids, found = heard
    body, messages = found[exchange.name]
    if exchange.message("<"):
        assert body == ids.now(exchange.message("<"))
    received = [traces.forget_time(payload) for _, payload in messages["j"]]
    assert received == [traces.forget_time(ids.now(line)) for line in exchange.events]
    assert {opcode for opcode, _ in messages["j"]} == {TEXT}
    assert {opcode for opcode, _ in messages["m"]} == {BINARY}
    if exchange.message("m"):
        expected = traces.forget_time(ids.now(exchange.message("m")))
        assert traces.forget_time(messages["m"][0][1]) == expected


# ---- push configs ----


def frames_until_pong(web):
    """What comes before the answer to a ping, as (opcode, payload)."""
    web.send(PING, b"last")
    found = []
    while True:
        _, _, opcode, payload = web.receive()
        if (opcode, payload) == (PONG, b"last"):
            return found
        found.append((opcode, payload))


@pytest.mark.parametrize("config", parameters(traces.load("configs.txt")))
def test_push_configs(server, config):
    web = session(server, config.keys.get("session", JSON), config.keys.get("url", "/events"))
    witness = session(server)
    web.send(BINARY if "binary" in config.keys else TEXT, config.request)
    expected = config.expected
    if "closes" in config.keys:
        assert traces.all_of(web) == expected
        return
    if expected:
        opcode, payload = web.message()
        assert opcode == (BINARY if "session" in config.keys else TEXT)
        assert traces.forget_time(payload) == traces.forget_time(expected)
    assert frames_until_pong(web) == []
    # What the witness has heard, the one shard has decided for both.
    server.create("/lists", name="probe")
    assert json.loads(witness.message()[1])["entity"]["name"] == "probe"
    for _ in range(int(config.keys.get("events", 0))):
        assert json.loads(web.message()[1])["entity"]["name"] == "probe"
    assert frames_until_pong(web) == []
    for each in (web, witness):
        each.close()


def test_a_session_in_error_hears_nothing_until_the_next_config(server):
    web = session(server, url="/events?enableErrors=true")
    witness = session(server)
    web.send(TEXT, b"hello")
    assert json.loads(web.message()[1])["type"] == "error"
    for config, count in ((None, 0), (b"{}", 1)):
        if config:
            web.send(TEXT, config)
            assert frames_until_pong(web) == []
        server.create("/lists", name="probe")
        witness.message()
        for _ in range(count):
            assert json.loads(web.message()[1])["type"] == "create"
        assert frames_until_pong(web) == []
    for each in (web, witness):
        each.close()


# ---- frames ----


@pytest.mark.parametrize("exchange", parameters(traces.load("frames.txt")))
def test_frames(server, exchange):
    web = session(server)
    try:
        web.send_bytes(exchange.request)
    except ConnectionError:
        pass  # refused before it was read to the end
    expected = exchange.expected
    if "closes" in exchange.keys:
        assert traces.all_of(web) == expected
    else:
        assert traces.exactly(web, len(expected)) == expected
        assert frames_until_pong(web) == []
    web.close()


def test_a_stop_closes_with_1001():
    node = Node(program=SERVERS["plain"])
    web = session(node)
    node.signal()
    assert web.receive() == (True, 0, CLOSE, b"\x03\xe9")
    web.send(CLOSE, b"\x03\xe9")
    assert traces.all_of(web) == b""
    node.stop()


def test_pings_are_empty(serve):
    node = serve("--limit-ping-interval-ms", "100", "--limit-pong-timeout-ms", "400")
    web = session(node)
    data = traces.all_of(web)  # bahamut does not close, and pings on
    assert data == b"\x89\x00" * (len(data) // 2) and len(data) >= 4
    web.close()


@pytest.mark.parametrize("last_words", [b"", b"\x81\x02{}"], ids=["gone", "broke_the_protocol"])
def test_nothing_is_left_of_sessions(serve, last_words):
    """bahamut keeps the sockets of those who broke the protocol."""
    node = serve()
    sessions = [session(node) for _ in range(200)]
    for each in sessions:
        each.send_bytes(last_words)
        if last_words:
            assert each.close_code() == 1002
        else:
            each.close()
    eventually(lambda: node.handed_over() == 0, what="the end of every socket")
    for each in sessions:
        each.close()
