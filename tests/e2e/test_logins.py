"""Tokens of clients of every kind: who hears of a logout on another node, and what is audited."""

import json
import re
import select
import socket
import struct

import pytest

from deadline import eventually
from rawws import BINARY, CLOSE, TEXT, RawWebSocket
from test_health import Health

PROFILES = (
    *("--profile", "native", "--profile", "gochat", "--profile", "goim"),
    *("--profile", "go-push", "--gopush-path", "/go-push"),
    *("--profile", "healing", "--healing-cookie", "token"),
    *("--tcp", "gochat=127.0.0.1:0", "--tcp", "goim=127.0.0.1:0"),
)
CHEAP = ("--account-hash-passes", "1", "--account-hash-kib", "8192")
PASSWORD = "correct horse"


def bearer(token):
    return {"Authorization": f"Bearer {token}"}


def call(node, what, token=None, status=200, **members):
    headers = bearer(token) if token else {}
    answer = node.request("POST", f"/v1/accounts/{what}", json=members, headers=headers)
    assert answer.status_code == status, answer.text
    return answer.json() if answer.content else None


def register(node, name):
    return call(node, "register", name=name, password=PASSWORD, status=201)["token"]


def login(node, name):
    return call(node, "login", name=name, password=PASSWORD)["token"]


# ---- clients; each is in when it is made, and `ends` with a code


class OfWebSocket:
    ending = 4401

    def __init__(self, node, path, headers=None):
        self.ws = RawWebSocket(node.port, path, headers or {})

    def say(self, **message):
        self.ws.send(TEXT, json.dumps(message).encode())

    def hear(self):
        opcode, payload = self.ws.message()
        assert opcode != CLOSE, payload
        return payload

    def ends(self):
        return self.ws.close_code()


class Events(OfWebSocket):
    ending = 1008

    def __init__(self, node, token):
        super().__init__(node, "/events", bearer(token))


class Native(OfWebSocket):
    def __init__(self, node, token):
        super().__init__(node, "/connect", bearer(token))
        assert b"WELCOME" in self.hear()


class NativeLater(OfWebSocket):
    """Brings its token in a message."""

    def __init__(self, node, token):
        super().__init__(node, "/connect")
        self.hear()
        self.say(type="AUTH", id=1, data={"token": token})
        assert b"OK" in self.hear()


def gochat_is_in(node, token, room, connected):
    """It is told nothing of its own, so its room is told something until it hears of it."""

    def hears():
        asked = {"authToken": token, "roomId": room}
        assert node.request("POST", "/push/getRoomInfo", json=asked).status_code == 200
        return select.select([connected], [], [], 0.2)[0]

    eventually(hears, what="a client of gochat's coming in")


class Gochat(OfWebSocket):
    def __init__(self, node, token):
        super().__init__(node, "/ws")
        self.login(token)
        gochat_is_in(node, token, 1, self.ws.socket)

    def login(self, token):
        self.say(authToken=token, roomId=1)


class GoPush(OfWebSocket):
    def __init__(self, node, token):
        super().__init__(node, "/go-push", bearer(token))
        self.say(type="PING", data={})
        assert b"PONG" in self.hear()


class Healing(OfWebSocket):
    def __init__(self, node, token):
        super().__init__(node, "/api/ws", {"Cookie": f"token={token}"})
        assert self.hear() == b"Hello, ws!"


def goim_packet(token):
    body = json.dumps({"token": token}).encode()
    return struct.pack(">ihhii", 16 + len(body), 16, 1, 7, 1) + body


class Goim(OfWebSocket):
    def __init__(self, node, token):
        super().__init__(node, "/sub")
        self.ws.send(BINARY, goim_packet(token))
        assert struct.unpack_from(">i", self.hear(), 8) == (8,)


class OfTcp:
    ending = None  # a stream just ends

    def __init__(self, port, data):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=30)
        self.socket.sendall(data)

    def ends(self):
        while self.socket.recv(65536):
            pass


class GochatTcp(OfTcp):
    def __init__(self, node, token):
        body = json.dumps({"op": 6, "authToken": token, "roomId": 2}).encode()
        super().__init__(node.ports["gochat"], b"v1" + struct.pack(">H", len(body) + 4) + body)
        gochat_is_in(node, token, 2, self.socket)


class GoimTcp(OfTcp):
    def __init__(self, node, token):
        super().__init__(node.ports["goim"], goim_packet(token))
        assert struct.unpack_from(">i", self.socket.recv(65536), 8) == (8,)


KINDS = (Events, Native, NativeLater, Gochat, GoPush, Healing, Goim, GochatTcp, GoimTcp)


def read_ports(node):
    """What the node prints of its listeners without HTTP."""
    node.ports = {}
    while len(node.ports) < 2:
        match = re.fullmatch(r"kujata: (\w+) on tcp://127\.0\.0\.1:(\d+)", node.line() or "")
        assert match
        node.ports[match[1]] = int(match[2])
    return node


@pytest.fixture
def fleet(serve, broker, tmp_path):
    """fleet(*flags) starts two nodes with one broker and one file of accounts."""

    def start(*flags):
        common = ("--accounts", f"sqlite:{tmp_path / 'accounts.db'}", *CHEAP)
        common = (*common, "--pubsub", broker.url, "--print-counters", "--health", "127.0.0.1:0")
        nodes = [serve(*common, *flags) for _ in range(2)]
        for node in nodes:  # what is told before a node has found the broker, it misses
            health = Health(node)
            eventually(lambda: health.request("/ready").status_code == 204, what="the broker")
        return nodes

    return start


# ---- what ends on another node


def test_a_logout_ends_clients_of_every_kind_on_every_node(fleet):
    here, there = (read_ports(node) for node in fleet(*PROFILES))
    # One user each: some protocols let a user have one client alone.
    tokens = [register(here, kind.__name__) for kind in KINDS]
    clients = [kind(there, token) for kind, token in zip(KINDS, tokens)]
    own, other = Events(here, tokens[0]), Native(there, login(there, "Events"))
    for token in tokens:
        call(here, "logout", token, status=204)
    for client in clients:
        assert client.ends() == client.ending, type(client)
    assert own.ends() == 1008
    other.say(type="PING", id=1)
    assert b"PONG" in other.hear()
    told, heard = here.counters(), there.counters()
    assert told["accounts_sessions_ended_total"] == 1
    assert told["session_endings_told_total"] == len(KINDS)
    assert told["session_endings_heard_total"] == 0
    assert heard["session_endings_heard_total"] == len(KINDS)
    assert heard["session_endings_sessions_total"] == len(KINDS)
    assert heard["accounts_sessions_ended_total"] == 0
    assert heard["sessions_closed_expired_total"] == 1  # clients are not sessions


def test_a_new_password_ends_the_other_tokens_on_every_node(fleet):
    here, there = fleet("--gateway")
    tokens = [register(here, "ann"), *(login(here, "ann") for _ in range(3))]
    clients = [Native(there, token) for token in tokens]
    call(
        here, "password", tokens[2], password=PASSWORD, newPassword="battery staple", status=204
    )
    kept = clients.pop(2)
    assert {client.ends() for client in clients} == {4401}
    kept.say(type="PING", id=1)
    assert b"PONG" in kept.hear()


def test_one_login_holds_on_every_node(fleet):
    here, there = fleet("--gateway", "--account-one-login")
    client = Native(there, register(there, "ann"))
    token = login(here, "ann")
    assert client.ends() == 4401
    Native(there, token)


def test_nodes_of_another_prefix_hear_nothing(fleet, serve, broker, tmp_path):
    here, there = fleet("--gateway")
    strange = serve(
        *("--accounts", f"sqlite:{tmp_path / 'accounts.db'}", *CHEAP, "--gateway"),
        *("--pubsub", broker.url, "--gateway-topic", "other", "--print-counters"),
    )
    token = register(here, "ann")
    client, apart = Native(there, token), Native(strange, token)
    call(here, "logout", token, status=204)
    assert client.ends() == 4401
    apart.say(type="PING", id=1)
    assert b"PONG" in apart.hear()
    assert strange.counters()["session_endings_heard_total"] == 0


# ---- what is audited


def records(path):
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def session_line(record):
    """What differs from run to run is looked at, and taken out."""
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", record.pop("time"))
    assert isinstance(record.pop("durationUS"), int)
    assert record.pop("remoteAddress") == "127.0.0.1"
    assert record.pop("kind") == "session"
    return record.pop("session"), record


CLAIMS = ["sub=ann", "account=1"]
IN_HANDSHAKE = [{"claims": CLAIMS, "status": 101}]
LATER = [{"status": 101}, {"claims": CLAIMS, "status": 200}]
BAD = "a-token-of-nobody"
ON_TCP = [{"claims": CLAIMS, "status": 200}]


@pytest.fixture(scope="module")
def audited(tmp_path_factory):
    from programs import Node

    audit = tmp_path_factory.mktemp("audit") / "audit"
    node = Node("--accounts", "memory", *CHEAP, *PROFILES, "--audit", str(audit))
    yield read_ports(node), audit, register(node, "ann")
    node.stop()


@pytest.mark.parametrize(
    "kind, wanted",
    [
        (Events, IN_HANDSHAKE),
        (Native, IN_HANDSHAKE),
        (GoPush, IN_HANDSHAKE),
        (Healing, [{"claims": ["sub=1"], "status": 101}]),
        (NativeLater, LATER),
        (Gochat, LATER),
        (Goim, LATER),
        (GochatTcp, ON_TCP),
        (GoimTcp, ON_TCP),
    ],
)
def test_tokens_of_clients_are_audited_whenever_they_come(audited, kind, wanted):
    node, audit, token = audited
    before = len(records(audit))
    kind(node, token)
    lines = [session_line(record) for record in records(audit)[before:]]
    assert [line for _, line in lines] == wanted
    assert len({session for session, _ in lines}) == 1


@pytest.mark.parametrize(
    "path, message",
    [
        ("/connect", (TEXT, json.dumps({"type": "AUTH", "data": {"token": BAD}}).encode())),
        ("/ws", (TEXT, json.dumps({"authToken": BAD, "roomId": 1}).encode())),
        ("/sub", (BINARY, goim_packet(BAD))),
    ],
)
def test_bad_tokens_that_come_later_are_audited(audited, path, message):
    node, audit, _ = audited
    before = len(records(audit))
    client = OfWebSocket(node, path)
    client.ws.send(*message)
    assert client.ends() == 4401
    (first, shaken), (second, refused) = map(session_line, records(audit)[before:])
    assert first == second
    assert shaken == {"status": 101}
    assert refused == {"status": 401, "error": "Unauthorized"}
    assert BAD not in audit.read_text("utf-8")


def test_each_new_token_of_a_client_is_audited(audited):
    node, audit, token = audited
    client = Gochat(node, token)
    before = len(records(audit))
    client.login(login(node, "ann"))
    (record,) = eventually(lambda: records(audit)[before:], what="a record")
    _, line = session_line(record)
    assert line == {"claims": CLAIMS, "status": 200}


def test_a_record_of_a_client_that_cannot_be_kept_is_counted(serve):
    node = serve(
        *("--accounts", "memory", *CHEAP, "--gateway"), "--audit", "/dev/full", "--print-counters"
    )
    client = NativeLater(node, register(node, "ann"))
    client.say(type="PING", id=2)
    assert b"PONG" in client.hear()
    counters = node.counters()
    assert counters["audit_records_lost_total"] == 2
    assert counters["gateway_logins_total"] == 1
