"""The stock Go client's view of a server: its requests and frames, byte for byte, in JSON and in
msgpack. What it needs, point by point."""

import socket

import pytest

import traces
from maniphttp import JSON, MSGPACK, ClientError, Manipulator, Refused, Subscriber
from pki import Authority
from programs import Node, free_port
from rawws import BINARY, PING, PONG, TEXT
from test_traces import SERVE, TRACE

ENCODINGS = [JSON, MSGPACK]
both = pytest.mark.parametrize("encoding", ENCODINGS, ids=["json", "msgpack"])

LIST = {
    "ID": "",
    "creationOnly": "",
    "date": None,
    "description": "",
    "name": "",
    "parentID": "",
    "parentType": "",
    "readOnly": "",
    "secret": "",
    "slice": [],
}
TASK = {
    "ID": "",
    "description": "",
    "name": "",
    "parentID": "",
    "parentType": "",
    "status": "TODO",
}


@pytest.fixture(scope="module")
def server():
    node = Node(program=TRACE)
    yield node
    node.stop()


@pytest.fixture
def guarded():
    node = Node(program=[*TRACE, "--token", "tok"])
    yield node
    node.stop()


@pytest.fixture
def client(server, encoding):
    made = Manipulator(server.port, encoding)
    yield made
    made.close()


def a_list(**members):
    return {**LIST, **members}


# ---- the manipulator ----


@pytest.mark.parametrize("encoding", ["json", "msgpack"])
def test_recorded_requests(server, encoding):
    """What the client was recorded to send on one connection."""
    requests = {exchange.name: exchange.request for exchange in traces.load("client.txt")}
    ids = traces.Ids()
    connection = RawSocket(server.port)
    for name, status in (
        ("create_invalid", 422),
        ("create", 200),
        ("delete", 400),
        ("delete_confirmed", 200),
    ):
        request = requests[f"{encoding}_{name}"]
        answer = connection.exchange(ids.now(request))
        assert answer.head.split()[1] == str(status).encode(), answer.body
        if name == "create":
            ids.learn(requests[f"{encoding}_delete"], answer.body)
    connection.socket.close()


class RawSocket:
    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=20)

    def exchange(self, request):
        self.socket.sendall(request)
        data, _ = traces.receive(self.socket, 1, traces.methods(request))
        return traces.split(data, traces.methods(request))[0]


@both
def test_1_tls(serve, tmp_path, encoding):
    authority = Authority(tmp_path)
    certificate, key = authority.issue("server")
    node = Node(
        program=[*SERVE, "--tls-cert", certificate, "--tls-key", key], listen="127.0.0.1:0"
    )
    client = Manipulator(node.port, encoding, tls=authority.context())
    subscriber = Subscriber(node.port, encoding, tls=authority.context()).connect()
    made = client.call("POST", "/v/1/lists", a_list(name="tls")).value
    assert subscriber.event()["entity"] == made
    subscriber.close()
    client.close()
    node.stop()


@both
def test_2_every_call(client):
    made = client.call("POST", "/v/1/lists", a_list(name="a")).value
    path = f"/v/1/lists/{made['ID']}"
    assert made == a_list(name="a", ID=made["ID"], parentType="root")
    assert client.call("GET", path).value == made
    assert made in client.call("GET", "/v/1/lists").value
    put = client.call("PUT", path, {**made, "description": "put"}).value
    assert put == {**made, "description": "put"}
    patch = client.call("PATCH", path, {"ID": made["ID"], "description": "patch"}).value
    assert patch == {**made, "description": "patch"}
    count = client.call("HEAD", "/lists")
    assert (count.status, count.value) == (204, None)
    assert client.call("DELETE", path).value == patch
    assert client.call("HEAD", "/lists").count() == count.count() - 1


@both
def test_3_filters(client, encoding):
    for number in range(3):
        client.call("POST", "/v/1/lists", a_list(name=f"q{number}", description=encoding))
    query = f"q=description+%3D%3D+%22{encoding.replace('/', '%2F')}%22+and+name+%21%3D+%22q1%22"
    found = client.call("GET", f"/v/1/lists?{query}&order=-name")
    assert [each["name"] for each in found.value] == ["q2", "q0"]
    assert client.call("HEAD", f"/lists?{query}").count() == 2


@both
def test_3_order_and_pages(encoding):
    node = Node(program=TRACE)
    client = Manipulator(node.port, encoding)
    for number in (2, 0, 4, 1, 3):
        client.call("POST", "/v/1/lists", a_list(name=str(number)))
    page = client.call("GET", "/v/1/lists?order=-name&page=2&pagesize=2")
    assert [each["name"] for each in page.value] == ["2", "1"]
    assert page.count() == 5
    seen = [[each["name"] for each in page] for page in client.pages("/v/1/lists", 2)]
    assert seen == [["2", "0"], ["4", "1"], ["3"]]
    client.close()
    node.stop()


@both
def test_4_children(client):
    parent = client.call("POST", "/v/1/lists", a_list(name="parent")).value
    path = f"/v/1/lists/{parent['ID']}/tasks"
    task = client.call("POST", path, {**TASK, "name": "t"}).value
    assert (task["parentID"], task["parentType"]) == (parent["ID"], "list")
    listed = client.call("GET", path)
    assert listed.value == [task] and listed.count() == 1


@both
def test_5_fields(client):
    made = client.call("POST", "/v/1/lists", a_list(name="f", slice=["x"])).value
    found = client.call("GET", f"/v/1/lists/{made['ID']}", fields=("name", "slice")).value
    assert found == {"name": "f", "slice": ["x"]}


@both
def test_6_errors(client, guarded, encoding):
    def refused(call, *arguments):
        with pytest.raises(ClientError) as caught:
            call(*arguments)
        assert caught.value.errors[0]["code"] == caught.value.status
        assert caught.value.errors[0]["title"] and caught.value.errors[0]["description"]
        return caught.value

    assert refused(client.call, "GET", f"/v/1/lists/{'0' * 24}").status == 404
    invalid = refused(client.call, "POST", "/v/1/lists", a_list())
    assert (invalid.status, invalid.errors[0]["data"]) == (422, {"attribute": "name"})
    stranger = Manipulator(guarded.port, encoding, token="other")
    assert refused(stranger.call, "GET", "/v/1/lists").status == 401
    stranger.close()


@both
def test_7_retries(encoding):
    """As many tries as the limit allows, one too many, and the one that succeeds later."""
    node = Node(program=[*SERVE, "--rate-limit", "1"])
    client = Manipulator(node.port, encoding)
    statuses = [client.once("GET", "/v/1/lists").status for _ in range(5)]
    assert 429 in statuses
    assert client.call("POST", "/v/1/lists", a_list(name="late")).status == 200
    client.close()
    node.stop()


@both
def test_8_compression(client):
    made = client.call("POST", "/v/1/lists", a_list(name="z", description="z" * 2000))
    assert made.headers["content-encoding"] == "gzip"
    assert made.value["description"] == "z" * 2000
    small = client.call("POST", "/v/1/lists", a_list(name="z"))
    assert "content-encoding" not in small.headers


# ---- the subscriber ----


@pytest.mark.parametrize("name", ["json_session", "msgpack_session"])
def test_recorded_session(server, name):
    """The handshake and the frames the client was recorded to send, and the event it got."""
    exchange = next(each for each in traces.load("client.txt") if each.name == name)
    connection = RawSocket(server.port)
    connection.socket.sendall(exchange.request)
    head, _ = traces.receive(connection.socket, 1, [b"GET"])
    assert head.startswith(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n")
    connection.socket.sendall(bytes.fromhex(exchange.keys["frame"]) + b"\x89\x80\0\0\0\0")
    assert connection.socket.recv(2) == b"\x8a\x00"  # the filter has been read
    for each in ("not x", "x"):
        server.create("/v/1/lists", name=each)
    header = connection.socket.recv(2)
    assert header == bytes([0x80 | (TEXT if name == "json_session" else BINARY), 126])
    size = int.from_bytes(connection.socket.recv(2), "big")
    event = b""
    while len(event) < size:
        event += connection.socket.recv(size - len(event))
    expected = exchange.message("<")
    ids = traces.Ids()
    ids.learn(expected, event)
    assert traces.forget_time(event) == traces.forget_time(ids.now(expected))
    connection.socket.sendall(bytes.fromhex(exchange.keys["close"]))
    assert connection.socket.recv(4) == b"\x88\x02\x03\xe9"
    assert connection.socket.recv(1) == b""
    connection.socket.close()


def test_a_token_in_a_cookie(guarded):
    exchange = next(each for each in traces.load("client.txt") if each.name == "cookie_session")
    answer = RawSocket(guarded.port).exchange(exchange.request)
    assert answer.head.startswith(b"HTTP/1.1 101 ")


@both
def test_9_own_calls_are_heard(guarded, encoding):
    client = Manipulator(guarded.port, encoding)
    subscriber = Subscriber(guarded.port, encoding).connect()
    made = client.call("POST", "/v/1/lists", a_list(name="a")).value
    path = f"/v/1/lists/{made['ID']}"
    put = client.call("PUT", path, {**made, "name": "b"}).value
    client.call("DELETE", path)
    seen = [subscriber.event() for _ in range(3)]
    assert [event["type"] for event in seen] == ["create", "update", "delete"]
    assert [event["entity"] for event in seen] == [made, put, put]
    assert {event["encoding"] for event in seen} == {encoding}
    assert subscriber.ping() == []
    subscriber.close()
    client.close()


@both
def test_10_filters_by_identity_and_type(server, client, encoding):
    config = {"filters": {}, "identities": {"list": ["delete"], "task": None}, "parameters": None}
    subscriber = Subscriber(server.port, encoding, config=config).connect()
    subscriber.ping()
    made = client.call("POST", "/v/1/lists", a_list(name="a")).value
    task = client.call("POST", f"/v/1/lists/{made['ID']}/tasks", {**TASK, "name": "t"}).value
    client.call("DELETE", f"/v/1/lists/{made['ID']}")
    assert [(e["identity"], e["type"]) for e in (subscriber.event(), subscriber.event())] == [
        ("task", "create"),
        ("list", "delete"),
    ]
    assert task["name"] == "t"
    subscriber.close()


BAD = {"filters": {"list": "name =="}, "identities": {"list": None}, "parameters": None}
GOOD = {"filters": {}, "identities": {"list": None}, "parameters": None}


@both
def test_11_a_bad_filter_is_an_error_event(server, client, encoding):
    subscriber = Subscriber(server.port, encoding, config=BAD).connect()
    error = subscriber.event()
    assert (error["type"], error["identity"]) == ("error", "")
    assert error["entity"]["data"] == {"pushconfig": "filters"}
    subscriber.send(GOOD)
    subscriber.ping()
    client.call("POST", "/v/1/lists", a_list(name="recovered"))
    assert subscriber.event()["entity"]["name"] == "recovered"
    subscriber.close()


@both
def test_12_a_bad_filter_closes_those_without_error_events(server, client, encoding):
    """The client reconnects at once and sends it again, each time; others do not notice."""
    witness = Subscriber(server.port, encoding, config=GOOD).connect()
    witness.ping()
    subscriber = Subscriber(server.port, encoding, config=BAD, errors=False)
    for _ in range(20):
        subscriber.reconnect()
        assert subscriber.web.close_code() == 1003
    client.call("POST", "/v/1/lists", a_list(name="unnoticed"))
    assert witness.event()["entity"]["name"] == "unnoticed"
    witness.close()


@both
def test_13_a_renewed_token_is_the_session_s(server, client, encoding):
    """The server sends what is for one token's holder to nobody else."""
    subscriber = Subscriber(server.port, encoding, token="old", config=GOOD).connect()
    for token in ("old", "new"):
        subscriber.ping()
        for description in ("for nobody", f"for {token}"):
            client.call("POST", "/v/1/lists", a_list(name="a", description=description))
        assert subscriber.event()["entity"]["description"] == f"for {token}"
        subscriber.send({**GOOD, "parameters": {"token": ["new"]}})
    subscriber.close()


@both
def test_14_idle_sessions_stay(encoding):
    """Four of the server's pings, with its usual proportion of interval and patience."""
    limits = ("--limit-ping-interval-ms", "250", "--limit-pong-timeout-ms", "500")
    node = Node(program=[*SERVE, *limits])
    subscriber = Subscriber(node.port, encoding, config=GOOD).connect()
    for _ in range(4):
        assert subscriber.web.receive() == (True, 0, PING, b"")
        subscriber.web.send(PONG)
        assert all(opcode == PING for opcode, _ in subscriber.ping())
    node.create("/v/1/lists", name="after")
    assert subscriber.event()["entity"]["name"] == "after"
    subscriber.close()
    node.stop()


@both
def test_15_a_restart(encoding):
    command = [*SERVE[:-4], "--listen", f"127.0.0.1:{free_port()}", *SERVE[-2:]]
    node = Node(program=command)
    subscriber = Subscriber(node.port, encoding, config={**GOOD, "identities": {"task": None}})
    subscriber.connect().ping()
    node.stop()
    with pytest.raises(EOFError, match="1001"):
        subscriber.event()
    node = Node(program=command)
    subscriber.reconnect().ping()
    made = node.create("/v/1/lists", name="not asked for")
    node.create(f"/v/1/lists/{made['ID']}/tasks", name="asked for")
    assert subscriber.event()["entity"]["name"] == "asked for"
    subscriber.close()
    node.stop()


@both
@pytest.mark.parametrize(
    "token, path_query, status, text",
    [
        ("other", None, 401, "You are not authorized to start a session"),
        ("tok", "/forbidden", 403, "You are not authorized to initiate a push session"),
    ],
)
def test_16_a_refused_handshake_is_readable(guarded, encoding, token, path_query, status, text):
    subscriber = Subscriber(guarded.port, encoding, token=token)
    if path_query:
        path = subscriber.path().replace("%2Fbench", path_query.replace("/", "%2F"))
        subscriber.path = lambda: path
    with pytest.raises(Refused) as caught:
        subscriber.connect()
    assert caught.value.status == status
    assert caught.value.errors[0]["description"] == text
