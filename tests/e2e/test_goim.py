"""The profile goim: its packets over websockets and TCP, byte by byte, and its HTTP."""

import json
import os
import re
import select
import socket
import struct
import threading

import pytest

from api import Api, api_flags
from deadline import eventually
from pki import Authority
from programs import KUJATA, MODEL, Node
from rawws import BINARY, CLOSE, TEXT, RawWebSocket, Refused

HEADER = struct.Struct(">ihhii")
HEARTBEAT, HEARTBEAT_REPLY, MESSAGE, DISCONNECT, AUTH, AUTH_REPLY, BATCH = 2, 3, 5, 6, 7, 8, 9
CHANGE_ROOM, SUBSCRIBE, UNSUBSCRIBE = 12, 14, 16
OPEN = ("--profile", "goim", "--gateway-open", "--tcp", "127.0.0.1:0")


def packet(op, body=b"", seq=0, length=None, header=16, version=1):
    length = 16 + len(body) if length is None else length
    return HEADER.pack(length, header, version, op, seq) + body


def cut(data):
    """The packets that bytes are, as (op, seq, body)."""
    packets = []
    while data:
        length, header, version, op, seq = HEADER.unpack_from(data)
        assert header == 16 and version == 1 and 16 <= length <= len(data)
        packets.append((op, seq, bytes(data[16:length])))
        data = data[length:]
    return packets


class Ended(Exception):
    """The server has closed: the code of a websocket, 0 of a stream."""


class WebSocket:
    """Takes batches apart, as goim's page does."""

    def __init__(self, node, headers=None, tls=None):
        self.socket = RawWebSocket(node.port, "/sub", headers, tls=tls)

    def send_bytes(self, data):
        self.socket.send(BINARY, data)

    def receive(self):
        """What one message has."""
        opcode, payload = self.socket.message()
        if opcode == CLOSE:
            raise Ended(struct.unpack(">H", payload[:2])[0])
        assert opcode == BINARY
        ((op, seq, body),) = cut(payload)
        return cut(body) if op == BATCH else [(op, seq, body)]

    def close(self):
        self.socket.close()


class Tcp:
    def __init__(self, node, headers=None, tls=None):
        del headers
        self.socket = socket.create_connection(("127.0.0.1", node.goim_port), timeout=30)
        if tls:
            self.socket = tls.wrap_socket(self.socket, server_hostname="127.0.0.1")
        self.buffer = b""

    def send_bytes(self, data):
        self.socket.sendall(data)

    def _exactly(self, count):
        while len(self.buffer) < count:
            try:
                data = self.socket.recv(65536)
            except ConnectionResetError:
                data = b""
            if not data:
                raise Ended(0)
            self.buffer += data
        data, self.buffer = self.buffer[:count], self.buffer[count:]
        return data

    def receive(self):
        head = self._exactly(16)
        return cut(head + self._exactly(HEADER.unpack(head)[0] - 16))

    def close(self):
        self.socket.close()


class Client:
    """One that is in, unless `auth` is False."""

    def __init__(self, node, transport=Tcp, auth=True, headers=None, tls=None, **token):
        self.wire = transport(node, headers, tls)
        self.waiting = []
        self.seq = 0
        self.reply = self.ask(AUTH, json.dumps(token).encode()) if auth else None
        if auth:
            assert self.reply == b"" or json.loads(self.reply)["code"] == 0, self.reply

    def send(self, op, body=b""):
        self.seq += 1
        self.wire.send_bytes(packet(op, body, self.seq))

    def next(self):
        if not self.waiting:
            self.waiting = self.wire.receive()
        return self.waiting.pop(0)

    def ask(self, op, body=b""):
        """The body of the answer; nothing else may come before it."""
        self.send(op, body)
        answer_op, seq, answer = self.next()
        assert (answer_op, seq) == (op + 1, self.seq)
        return answer

    def count(self):
        """How many are in its room; pushes up to now have come before."""
        (count,) = struct.unpack(">i", self.ask(HEARTBEAT))
        return count

    def fault(self, op, body):
        answer = json.loads(self.ask(op, body))
        assert answer["message"]
        return answer["code"]

    def ended(self):
        """The code the stream ends with."""
        with pytest.raises(Ended) as raised:
            while True:
                self.next()
        return raised.value.args[0]

    def close(self):
        self.wire.close()


def read_lines(node, api):
    """What the node prints of its API, with `api`, and of its port for TCP."""
    node.api = Api(node) if api else None
    line = node.line()
    match = re.fullmatch(r"kujata: goim on (tcp|tls)://127.0.0.1:(\d+)", line)
    assert match, line
    node.goim_port = int(match[2])
    return node


@pytest.fixture
def goim(serve):
    """goim(*flags) starts a node."""

    def start(*flags, api=False):
        return read_lines(serve(*flags, *(api_flags() if api else ())), api)

    return start


@pytest.fixture(scope="module")
def shared():
    """One node for tests that do not mind what others do to it."""
    started = read_lines(Node(*OPEN, "--goim-trust-mid", *api_flags()), True)
    yield started
    started.stop()


both = pytest.mark.parametrize("transport", [Tcp, WebSocket])


def push(node, what, body=b'{"test":1}', **parameters):
    answer = node.api.post(f"/goim/push/{what}", params=parameters, data=body)
    assert answer.status_code == 200
    value = answer.json()
    return value["data"]["reached"] if value["code"] == 0 else value["code"]


# ---- who is let in


@both
def test_who_introduces_itself_is_in(goim, transport):
    node = goim(*OPEN)
    client = Client(node, transport, mid=123, key="dev-1", room_id="live://1000", platform="web", accepts=[1000])
    assert client.reply == b""
    assert client.count() == 1
    other = Client(node, transport, mid=123, room_id="live://1000")
    assert json.loads(other.reply)["key"]  # it had none, so one was made, and it is told
    assert client.count() == 2
    other.close()
    eventually(lambda: client.count() == 1)


@both
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b'{"mid":"1"}',
        b'{"mid":1.5}',
        b'{"key":1}',
        b'{"room_id":7}',
        b'{"accepts":1000}',
        b'{"accepts":["1000"]}',
        b'{"accepts":[99999999999]}',
        b'{"room_id":"' + b"r" * 129 + b'"}',
        b'{"key":"' + b"k" * 129 + b'"}',
        b'{"accepts":' + json.dumps(list(range(1000, 1257))).encode() + b"}",
    ],
)
def test_who_does_not_is_told_why_and_closed(shared, transport, body):
    node = shared
    client = Client(node, transport, auth=False)
    assert client.fault(AUTH, body) == -400
    assert client.ended() == (0 if transport is Tcp else 1008)


@both
def test_what_comes_before_the_introduction_is_passed_over(goim, transport):
    node = goim(*OPEN, "--print-counters")
    client = Client(node, transport, auth=False)
    client.send(HEARTBEAT)
    client.send(CHANGE_ROOM, b"live://1")
    client.send(AUTH, b"{}")
    op, seq, _ = client.next()
    assert (op, seq) == (AUTH_REPLY, 3)
    client.send(AUTH, b"{}")
    op, _, body = client.next()
    assert (op, json.loads(body)["code"]) == (AUTH_REPLY, -400)
    assert client.count() == 0
    client.close()
    assert node.counters()["gateway_requests_refused_total"] == 3


@both
def test_who_says_nothing_is_told_and_closed(goim, transport):
    node = goim(*OPEN, "--gateway-limit-handshake-ms", "300")
    client = Client(node, transport, auth=False)
    op, _, body = client.next()
    assert (op, json.loads(body)["code"]) == (AUTH_REPLY, -401)
    assert client.ended() == (0 if transport is Tcp else 4401)


@both
def test_silence_ends_a_client_and_a_heartbeat_keeps_it(goim, transport):
    node = goim(*OPEN, "--gateway-limit-idle-ms", "1500", "--print-counters")
    client, silent = Client(node, transport), Client(node)
    while not select.select([silent.wire.socket], [], [], 0.1)[0]:
        assert client.count() == 0
    assert silent.ended() == 0
    assert client.count() == 0
    client.close()
    assert node.counters()["sessions_closed_pong_timeout_total"] == 1


# ---- with authenticators


@pytest.fixture
def tokens(tmp_path):
    path = tmp_path / "tokens"
    path.write_text("one sub=1\ntwo sub=2\nann sub=ann\n")
    return ("--auth-tokens", str(path))


CLOSED = ("--profile", "goim", "--tcp", "127.0.0.1:0")


@both
def test_a_token_says_who_it_is_and_mid_has_to_agree(goim, tokens, transport):
    node = goim(*CLOSED, *tokens, api=True)
    client = Client(node, transport, mid=1, token="one", key="a")
    nameless = Client(node, transport, token="one", key="b")
    ann = Client(node, transport, token="ann", key="c")
    assert push(node, "mids", operation=7, mids=["1", "ann"]) == 3
    for one in (client, nameless, ann):
        assert one.next() == (7, 0, b'{"test":1}')
    for token, code in (
        ({"mid": 2, "token": "one"}, -401),
        ({"mid": 1, "token": "wrong"}, -401),
        ({"mid": 1}, -401),
        ({}, -401),
    ):
        liar = Client(node, transport, auth=False)
        assert liar.fault(AUTH, json.dumps(token).encode()) == code
        assert liar.ended() == (0 if transport is Tcp else 4401)


def test_a_token_of_the_handshake_counts(goim, tokens):
    node = goim(*CLOSED, *tokens, api=True)
    client = Client(node, WebSocket, headers={"Authorization": "Bearer two"}, mid=2, key="a")
    assert push(node, "mids", operation=7, mids="2") == 1
    assert client.next() == (7, 0, b'{"test":1}')
    liar = Client(node, WebSocket, auth=False, headers={"Authorization": "Bearer two"})
    assert liar.fault(AUTH, b'{"mid":1}') == -401
    with pytest.raises(Refused) as raised:
        WebSocket(node, {"Authorization": "Bearer wrong"})
    assert raised.value.status == 401


def test_an_open_node_believes_no_mid_unless_it_is_told_to(goim, tokens):
    node = goim(*OPEN, *tokens, api=True)
    nobody = Client(node, mid=1, key="a")
    assert push(node, "mids", operation=7, mids="1") == 0
    assert nobody.count() == 0
    trusting = goim(*OPEN, "--goim-trust-mid", api=True)
    client = Client(trusting, mid=1, key="a")
    assert push(trusting, "mids", operation=7, mids="1") == 1
    assert client.next() == (7, 0, b'{"test":1}')


def test_a_node_that_nobody_could_enter_does_not_start(start):
    program = start(KUJATA, "serve", "--model", MODEL, "--listen", "127.0.0.1:0", "--profile", "goim")
    assert program.wait() == 2
    assert "--gateway-open" in program.stderr()


@pytest.mark.parametrize("flag", ["--tcp", "--tcp-tls"])
def test_an_address_others_reach_is_open_on_purpose_only(start, flag):
    command = (KUJATA, "serve", "--model", MODEL, "--listen", "127.0.0.1:0", "--profile", "goim")
    certificate = ("--tls-cert", "x") if flag == "--tcp-tls" else ()
    program = start(*command, "--gateway-open", flag, "0.0.0.0:0", *certificate)
    assert program.wait() == 2
    assert f"{flag} 0.0.0.0:0" in program.stderr() and "--allow-all" in program.stderr()


@both
def test_the_newer_client_of_a_key_stays(goim, transport):
    node = goim(*OPEN, "--goim-trust-mid", api=True)
    old = Client(node, transport, mid=1, key="a")
    other = Client(node, mid=2, key="a")  # another's key is another key
    new = Client(node, transport, mid=1, key="a")
    op, _, body = old.next()
    assert (op, json.loads(body)["code"]) == (DISCONNECT, 4409)
    assert old.ended() == (0 if transport is Tcp else 4409)
    assert new.count() == 0
    assert other.count() == 0
    old.close()
    total = lambda: node.api.get("/goim/online/total").json()["data"]["conn_count"]  # noqa: E731
    eventually(lambda: total() == 2)
    assert push(node, "keys", b"k", operation=1, keys="a") == 2
    assert new.next() == other.next() == (1, 0, b"k")
    nobody = Client(node, transport, key="n")
    nobody_else = Client(node, transport, key="n")
    op, _, body = nobody.next()
    assert (op, json.loads(body)["code"]) == (DISCONNECT, 4409)
    nobody.close()
    eventually(lambda: total() == 3)
    assert nobody_else.count() == 0


# ---- pushes


def test_pushes_are_frames_on_tcp_and_batches_on_websockets(shared):
    node = shared
    tcp = Client(node, room_id="live://1", key="t")
    ws = Client(node, WebSocket, room_id="live://1", key="w")
    assert push(node, "room", operation=1000, type="live", room="1") == 2
    body = b'{"test":1}'
    inner = packet(1000, body)
    assert tcp.wire._exactly(len(inner)) == inner
    assert ws.wire.socket.message() == (BINARY, packet(BATCH, inner))


def test_batches_hold_what_follows_quickly(goim):
    node = goim(*OPEN, "--gateway-batch-ms", "300", api=True)
    ws = Client(node, WebSocket, room_id="live://1")
    tcp = Client(node, room_id="live://1")
    bodies = [str(i).encode() * 10 for i in range(40)]
    for body in bodies:
        push(node, "room", body, operation=1000, type="live", room="1")
    sizes, heard = [], []
    while len(heard) < len(bodies):
        batch = ws.wire.receive()
        sizes.append(len(batch))
        heard += [body for op, seq, body in batch if (op, seq) == (1000, 0)]
    assert heard == bodies
    assert sizes[0] == 1 and max(sizes) > 1
    assert [tcp.next()[2] for _ in bodies] == bodies


@both
def test_bodies_are_bytes(shared, transport):
    node = shared
    client = Client(node, transport, key="a")
    for body in (b"", b"\x00\xff" * 5000, bytes(range(256))):
        assert push(node, "keys", body, operation=1000, keys="a") == 1
        assert client.next() == (1000, 0, body)


@both
def test_keys_users_rooms_and_all(goim, transport):
    node = goim(*OPEN, "--goim-trust-mid", api=True)
    a = Client(node, transport, mid=1, key="a", room_id="live://1")
    b = Client(node, transport, mid=1, key="b", room_id="live://2")
    c = Client(node, transport, mid=2, key="c")
    assert push(node, "keys", b"k", operation=1, keys=["a", "c", "nobody"]) == 2
    assert push(node, "mids", b"m", operation=2, mids=["1", "7"]) == 2
    assert push(node, "room", b"r", operation=3, type="live", room="2") == 1
    assert push(node, "all", b"all", operation=4, speed=0) == 3
    # Topics have no order among each other.
    assert sorted(a.next() for _ in range(3)) == [(1, 0, b"k"), (2, 0, b"m"), (4, 0, b"all")]
    assert sorted(b.next() for _ in range(3)) == [(2, 0, b"m"), (3, 0, b"r"), (4, 0, b"all")]
    assert sorted(c.next() for _ in range(2)) == [(1, 0, b"k"), (4, 0, b"all")]
    assert push(node, "all", b"spread", operation=5, speed=1000) == 3
    assert a.next() == b.next() == c.next() == (5, 0, b"spread")


@both
def test_a_client_gets_the_operations_it_accepts(goim, transport):
    node = goim(*OPEN, "--print-counters", api=True)
    some = Client(node, transport, key="a", room_id="live://1", accepts=[1000, 1001])
    none = Client(node, transport, key="b", room_id="live://1", accepts=[])
    every = Client(node, transport, key="c", room_id="live://1")
    for op in (1000, 1001, 1002):
        assert push(node, "room", operation=op, type="live", room="1") == 3
    push(node, "all", operation=1001)
    push(node, "keys", operation=1002, keys=["a", "b", "c"])
    # Topics have no order among each other.
    assert sorted(some.next()[0] for _ in range(3)) == [1000, 1001, 1001]
    assert sorted(every.next()[0] for _ in range(5)) == [1000, 1001, 1001, 1002, 1002]
    assert (some.count(), none.count(), every.count()) == (3, 3, 3)
    assert some.ask(SUBSCRIBE, b"1002,1003") == b"1002,1003"
    assert some.ask(UNSUBSCRIBE, b"1000,7") == b"1000,7"
    for op in (1000, 1003, 1001):
        push(node, "room", operation=op, type="live", room="1")
    assert [some.next()[0] for _ in range(2)] == [1003, 1001]
    assert [every.next()[0] for _ in range(3)] == [1000, 1003, 1001]
    for op, body in (
        (SUBSCRIBE, b""),
        (SUBSCRIBE, b","),
        (SUBSCRIBE, b"1,"),
        (SUBSCRIBE, b"1,,2"),
        (SUBSCRIBE, b"-1"),
        (SUBSCRIBE, b"a"),
        (SUBSCRIBE, b"99999999999"),
        (UNSUBSCRIBE, b"1;2"),
        (SUBSCRIBE, ",".join(map(str, range(2000, 2400))).encode()),
    ):
        assert some.fault(op, body) == -400, body
    assert every.fault(UNSUBSCRIBE, b"1000") == -400
    assert every.ask(SUBSCRIBE, b"1000") == b"1000"  # it is among all it gets anyway

    def unwanted():
        return node.api.get("/v1/stats").json()["counters"]["gateway_unwanted_total"]

    eventually(lambda: unwanted() == 8 + 3, what="what each did not get")
    for client in (some, none, every):
        client.close()
    assert node.counters()["gateway_unwanted_total"] == 8 + 3


def test_who_does_not_read_loses_pushes_and_nobody_else_does(goim):
    node = goim(*OPEN, "--print-counters", api=True)
    slow = Client(node, room_id="live://1", key="s")
    quick = Client(node, WebSocket, room_id="live://1", key="q")
    bodies = [b"%05d" % i + b"x" * 60000 for i in range(400)]
    for body in bodies:
        assert push(node, "room", body, operation=1, type="live", room="1") == 2
        assert quick.next() == (1, 0, body)
    last = b"the last"
    push(node, "room", last, operation=1, type="live", room="1")
    heard = []
    while not heard or heard[-1] != last:
        op, seq, body = slow.next()
        assert (op, seq) == (1, 0)
        heard.append(body)
    assert heard[:-1] == sorted(heard[:-1]) and set(heard[:-1]) < set(bodies)
    dropped = len(bodies) + 1 - len(heard)
    slow.close()
    quick.close()
    counters = node.counters()
    assert sum(value for name, value in counters.items() if "dropped" in name) >= dropped > 0


def test_clients_come_and_go_while_a_room_is_pushed_to(goim):
    """With the same few keys, so that they also replace each other."""
    node = goim(*OPEN, "--goim-trust-mid", "--gateway-linger-ms", "1", api=True)
    stop = threading.Event()
    failures = []

    def churn(number):
        try:
            for turn in range(25):
                transport = (Tcp, WebSocket)[(number + turn) % 2]
                client = Client(node, transport, mid=number % 3, key=f"k{number % 2}", room_id="live://1")
                try:
                    client.send(CHANGE_ROOM, b"live://2")
                    client.send(SUBSCRIBE, b"1000")
                    client.send(CHANGE_ROOM, b"live://1")
                    while client.next()[0] != CHANGE_ROOM + 1:
                        pass
                except (Ended, OSError, EOFError):
                    pass  # replaced
                client.close()
        except Exception as error:
            failures.append(error)

    def feed():
        while not stop.is_set():
            push(node, "room", operation=1000, type="live", room="1")
            push(node, "mids", operation=1000, mids=["0", "1", "2"])

    feeder = threading.Thread(target=feed)
    clients = [threading.Thread(target=churn, args=(number,)) for number in range(6)]
    for thread in (feeder, *clients):
        thread.start()
    for thread in clients:
        thread.join()
    stop.set()
    feeder.join()
    assert not failures, failures
    total = lambda: node.api.get("/goim/online/total").json()["data"]  # noqa: E731
    eventually(lambda: total() == {"ip_count": 0, "conn_count": 0})
    rooms = node.api.get("/goim/online/room", params={"type": "live", "rooms": ["1", "2"]}).json()
    assert rooms["data"] == {"1": 0, "2": 0}


def test_each_client_has_one_room_and_may_change_it(goim):
    node = goim(*OPEN, api=True)
    client = Client(node, WebSocket, room_id="live://1")
    other = Client(node, room_id="live://1")
    assert client.count() == 2
    assert client.ask(CHANGE_ROOM, b"live://2") == b"live://2"
    assert (client.count(), other.count()) == (1, 1)
    assert client.ask(CHANGE_ROOM, b"live://2") == b"live://2"
    assert push(node, "room", operation=1, type="live", room="1") == 1
    assert push(node, "room", operation=1, type="live", room="2") == 1
    assert client.next()[0] == 1
    assert client.ask(CHANGE_ROOM, b"") == b""
    assert client.count() == 0
    for name in (b"r" * 129, b"\xff", b"a\x00b"):
        assert client.fault(CHANGE_ROOM, name) == -400
    assert client.ask(CHANGE_ROOM, b"live://1") == b"live://1"
    assert other.next()[0] == 1
    assert other.count() == 2


@both
def test_what_is_none_of_goims_is_answered_with_nothing(shared, transport):
    node = shared
    client = Client(node, transport)
    client.send(1000, b"upstream")
    assert client.next() == (1000, 2, b"")
    client.send(-1)
    assert client.next() == (-1, 3, b"")


def test_clients_of_both_protocols_meet_in_rooms(goim):
    node = goim(*OPEN, "--profile", "native")
    goim_client = Client(node, WebSocket, room_id="live://1")
    native = RawWebSocket(node.port, "/connect")
    native.message()
    native.send(TEXT, b'{"type":"JOIN","id":1,"data":{"room":"live://1"}}')
    native.message()
    native.send(TEXT, b'{"type":"SEND","id":2,"data":{"room":"live://1","body":{"a":1}}}')
    assert goim_client.next() == (MESSAGE, 0, b'{"a":1}')
    assert goim_client.count() == 2


# ---- bytes that are none


@pytest.mark.parametrize(
    "data",
    [
        packet(AUTH, length=-1),
        packet(AUTH, length=0),
        packet(AUTH, length=3),
        packet(AUTH, length=15),
        packet(AUTH, length=2**31 - 1),
        packet(AUTH, length=-(2**31)),
        packet(AUTH, length=4113),
        packet(AUTH, header=15),
        packet(AUTH, header=-1),
        packet(AUTH, b"x" * 4097),
        b"GET / HTTP/1.1\r\n\r\n",
    ],
)
def test_no_packet_ends_the_stream(shared, data):
    node = shared
    good = Client(node)
    bad = Tcp(node)
    bad.send_bytes(data)
    with pytest.raises(Ended):
        bad.receive()
    client = Client(node, Tcp)
    client.wire.send_bytes(data)
    assert client.ended() == 0
    assert good.count() == 0


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x00",
        packet(HEARTBEAT)[:15],
        packet(HEARTBEAT, length=15),
        packet(HEARTBEAT, length=17),
        packet(HEARTBEAT, length=4112),  # more than the message has: never bytes of others
        packet(CHANGE_ROOM, length=4112),
        packet(HEARTBEAT, length=-1),
        packet(HEARTBEAT, header=20),
        packet(HEARTBEAT, b"x" * 20, length=16),
        packet(HEARTBEAT) * 2,
    ],
)
def test_a_message_is_one_packet(shared, data):
    node = shared
    client = Client(node, WebSocket)
    client.wire.send_bytes(data)
    assert client.ended() == 1002


def test_large_and_text_messages_are_refused(shared):
    node = shared
    client = Client(node, WebSocket)
    client.wire.send_bytes(packet(HEARTBEAT, b"x" * 4097))
    assert client.ended() == 1009
    client = Client(node, WebSocket)
    client.wire.socket.send(TEXT, packet(HEARTBEAT))
    assert client.ended() == 1002
    client = Client(node, WebSocket)
    client.send(HEARTBEAT, b"x" * 4096)
    assert client.next()[0] == HEARTBEAT_REPLY


def test_packets_of_single_bytes_and_many_at_once(shared):
    node = shared
    client = Client(node, room_id="live://1")
    for byte in packet(HEARTBEAT, b"abc", 77):
        client.wire.send_bytes(bytes([byte]))
    assert client.next() == (HEARTBEAT_REPLY, 77, b"\0\0\0\1")
    client.wire.send_bytes(b"".join(packet(HEARTBEAT, seq=i) for i in range(500)))
    assert [client.next()[1] for _ in range(500)] == list(range(500))


# ---- goim's HTTP


def test_faults_are_answered_as_goim_does(shared):
    node = shared
    assert push(node, "keys", operation="x", keys="a") == -400
    assert push(node, "keys", operation=1) == -400
    assert push(node, "keys", operation=1, keys="") == -400
    assert push(node, "mids", operation=2**31, mids=1) == -400
    assert push(node, "room", operation=1, type="live") == -400
    assert push(node, "room", type="live", room="1") == -400
    assert push(node, "room", operation=1, type="l" * 120, room="r" * 20) == -400
    assert push(node, "all") == -400
    assert push(node, "all", operation=1, speed="x") == -400
    assert push(node, "all", b"x" * 300000, operation=1) == -400
    assert node.api.get("/goim/push/all").status_code == 405
    for path in ("top", "top?type=live", "top?type=live&limit=0", "room", "room?type=live", "room?rooms=1"):
        assert node.api.get(f"/goim/online/{path}").json()["code"] == -400, path
    assert node.request("POST", "/goim/push/all?operation=1").status_code >= 400


def test_figures(goim):
    node = goim(*OPEN, api=True)
    clients = [Client(node, (Tcp, WebSocket)[i % 2], room_id=f"live://{i % 3}") for i in range(8)]
    clients.append(Client(node, room_id="other://1"))

    def data(path):
        answer = node.api.get(f"/goim/online/{path}").json()
        assert (answer["code"], answer["message"]) == (0, "")
        return answer["data"]

    assert data("total") == {"ip_count": 1, "conn_count": 9}
    top = data("top?type=live&limit=2")
    assert sorted(top, key=lambda room: room["room_id"]) == [
        {"room_id": "0", "count": 3},
        {"room_id": "1", "count": 3},
    ]
    assert data("top?type=none&limit=2") == []
    assert data("room?type=live&rooms=0&rooms=2&rooms=9") == {"0": 3, "2": 2, "9": 0}
    clients[0].close()
    eventually(lambda: data("total")["conn_count"] == 8)


def test_clients_are_told_where_to_connect(goim):
    node = goim(*OPEN, "--goim-domain", "push.example", "--goim-tcp-port", "3101", "--goim-ws-port", "3102")
    answer = node.request("GET", "/goim/nodes/weighted?platform=web").json()
    assert answer["code"] == 0
    assert answer["data"] == {
        "domain": "push.example",
        "tcp_port": 3101,
        "ws_port": 3102,
        "wss_port": 0,
        "heartbeat": 240,
        "heartbeat_max": 2,
        "nodes": ["push.example"],
        "backoff": {"max_delay": 300, "base_delay": 3, "factor": 1.8, "jitter": 0.3},
    }


# ---- TLS, nodes


@both
def test_over_tls(goim, transport, tmp_path):
    authority = Authority(tmp_path)
    certificate, key = authority.issue("server")
    flags = ("--gateway-open", "--tcp-tls", "127.0.0.1:0", "--tls-cert", certificate, "--tls-key", key)
    node = goim("--profile", "goim", *flags)
    client = Client(node, transport, tls=authority.context(), room_id="live://1")
    assert client.count() == 1


def test_the_example_prints_what_is_pushed(shared, start):
    token = '{"key":"example","room_id":"live://example","accepts":[1000]}'
    client = start(os.environ["KUJATA_GOIM_CLIENT"], "127.0.0.1", str(shared.goim_port), token)
    assert client.line() == "8: "
    assert client.line() == "1 in the room"
    assert push(shared, "room", b"no", operation=1001, type="live", room="example") == 1
    assert push(shared, "room", b"hello", operation=1000, type="live", room="example") == 1
    assert client.line() == "1000: hello"
    newer = Client(shared, key="example")
    assert json.loads(client.line().removeprefix("6: "))["code"] == 4409
    assert client.line() is None
    assert client.wait() == 0
    newer.close()


def test_a_room_spans_nodes(goim, broker):
    flags = (*OPEN, "--pubsub", broker.url)
    here, there = goim(*flags, api=True), goim(*flags, api=True)
    client = Client(there, WebSocket, room_id="live://1", key="a", accepts=[1000])

    def heard():
        push(here, "room", operation=1000, type="live", room="1")
        return client.wire.socket.has_data(0.1)

    eventually(heard)
    assert client.next() == (1000, 0, b'{"test":1}')
    other = Client(here, room_id="live://1")

    def top():
        answer = here.api.get("/goim/online/top", params={"type": "live", "limit": 1})
        return answer.json()["data"]

    eventually(lambda: top() == [{"room_id": "1", "count": 2}])
    assert other.count() == 2
    assert here.api.get("/goim/online/total").json()["data"]["conn_count"] == 2
