"""The profile gochat: what its pages ask, its websocket, and its packets on TCP."""

import json
import re
import socket
import struct

import pytest

from deadline import eventually
from pki import Authority
from rawws import CLOSE, TEXT, RawWebSocket

CHEAP = ("--account-hash-passes", "1", "--account-hash-kib", "8192")
FLAGS = ("--profile", "gochat", "--accounts", "memory", *CHEAP)
TCP = ("--tcp", "127.0.0.1:0")
PASSWORD = "111111111"


def ask(node, path, **members):
    """Gochat answers with 200 and these three members, always."""
    answer = node.request("POST", path, json=members)
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert set(body) == {"code", "message", "data"}
    return body


def ok(node, path, **members):
    body = ask(node, path, **members)
    assert body["code"] == 0, body
    return body["data"]


def register(node, name):
    return ok(node, "/user/register", userName=name, passWord=PASSWORD)


def login(node, name):
    return ok(node, "/user/login", userName=name, passWord=PASSWORD)


class Page:
    """A websocket as gochat's page uses it: nothing but JSON texts."""

    def __init__(self, node, token, room=1):
        self.ws = RawWebSocket(node.port, "/ws")
        self.login(token, room)

    def login(self, token, room):
        self.ws.send(TEXT, json.dumps({"authToken": token, "roomId": room}).encode())

    def hear(self):
        opcode, payload = self.ws.message()
        if opcode == CLOSE:
            return struct.unpack(">H", payload[:2])[0]
        assert opcode == TEXT
        return json.loads(payload)

    def next(self, op):
        while True:
            message = self.hear()
            assert isinstance(message, dict), message
            if message["op"] == op:
                return message

    def ends(self):
        while True:
            message = self.hear()
            if isinstance(message, int):
                return message


def packet(payload, version=b"v1", length=None):
    payload = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    length = len(payload) + 4 if length is None else length
    return version + struct.pack(">H", length & 0xFFFF) + payload


class Device:
    """A client on TCP."""

    def __init__(self, port, token=None, room=1, tls=None):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=30)
        if tls:
            self.socket = tls.wrap_socket(self.socket, server_hostname="127.0.0.1")
        self.buffer = b""
        if token:
            self.send({"op": 6, "authToken": token, "roomId": room})

    def send(self, payload):
        self.socket.sendall(packet(payload))

    def exactly(self, count):
        while len(self.buffer) < count:
            data = self.socket.recv(65536)
            if not data:
                raise EOFError(self.buffer)
            self.buffer += data
        data, self.buffer = self.buffer[:count], self.buffer[count:]
        return data

    def hear_bytes(self):
        version, length = struct.unpack(">2sH", self.exactly(4))
        assert version == b"v1" and length & 0x8000 == 0
        return self.exactly(length - 4)

    def hear(self):
        return json.loads(self.hear_bytes())

    def next(self, op):
        while True:
            message = self.hear()
            if message.get("op") == op:
                return message

    def ends(self):
        """What came before the end."""
        heard = []
        try:
            while True:
                heard.append(self.hear())
        except (EOFError, ConnectionError):
            return heard


def stream_port(node):
    match = re.fullmatch(r"kujata: gochat on tcp://127\.0\.0\.1:(\d+)", node.line() or "")
    assert match
    return int(match[1])


def wait_for(node, page, token, count, room=1):
    """Until so many are in the room; the users."""

    def has_come():
        ask(node, "/push/getRoomInfo", authToken=token, roomId=room)
        while page.ws.has_data(0.2):
            info = page.hear()
            if info["op"] == 5 and (info["roomId"], info["count"]) == (room, count):
                return info
        return None

    return eventually(has_come, what=f"{count} in the room")["roomUserInfo"]


def test_what_the_page_does(serve):
    node = serve(*FLAGS)
    demo, other = register(node, "demo"), register(node, "demo1")
    assert ok(node, "/user/checkAuth", authToken=demo) == {"userId": 1, "userName": "demo"}
    demo = login(node, "demo")
    here, there = Page(node, demo), Page(node, other)
    assert wait_for(node, here, demo, 2) == {"1": "demo", "2": "demo1"}

    assert ask(node, "/push/pushRoom", authToken=demo, roomId=1, msg="h\u00e9 <b>\"") == {
        "code": 0,
        "message": "ok",
        "data": None,
    }
    for page in (here, there):
        message = page.next(3)
        assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", message.pop("createTime"))
        assert message == {
            "code": 0,
            "msg": "h\u00e9 <b>\"",
            "fromUserId": 1,
            "fromUserName": "demo",
            "toUserId": 0,
            "toUserName": "",
            "roomId": 1,
            "op": 3,
        }

    ok(node, "/push/push", authToken=demo, toUserId="2", roomId=1, msg="psst")
    assert there.next(2) == {
        "code": 0,
        "msg": "psst",
        "fromUserId": 1,
        "fromUserName": "demo",
        "toUserId": 2,
        "toUserName": "demo1",
        "roomId": 1,
        "op": 2,
        "createTime": "",
    }

    ok(node, "/push/count", authToken=other, roomId=1)
    for page in (here, there):
        assert page.next(4) == {"count": 2, "op": 4}
    ok(node, "/push/getRoomInfo", authToken=other, roomId=1)
    assert here.next(5) == {
        "op": 5,
        "roomId": 1,
        "count": 2,
        "roomUserInfo": {"1": "demo", "2": "demo1"},
    }

    there.ws.close()
    left = here.next(5)
    while left["count"] != 1:
        left = here.next(5)
    assert left["roomUserInfo"] == {"1": "demo"}

    assert ask(node, "/user/logout", authToken=demo)["message"] == "logout ok!"
    assert here.ends() == 4401
    assert ask(node, "/user/checkAuth", authToken=demo)["code"] == 40000


@pytest.mark.parametrize(
    "path, members, code, text",
    [
        ("/user/register", {"userName": "demo", "passWord": PASSWORD}, 1, "already have"),
        ("/user/register", {"userName": "new", "passWord": "short"}, 1, "8 to 1024"),
        ("/user/register", {}, 1, "name"),
        ("/user/login", {"userName": "demo", "passWord": "a wrong one"}, 1, "no this user or password error!"),
        ("/user/login", {"userName": "nobody", "passWord": PASSWORD}, 1, "no this user or password error!"),
        ("/user/login", {"userName": ["demo"]}, 1, "no this user or password error!"),
        ("/user/checkAuth", {"authToken": "x"}, 40000, "Session error"),
        ("/user/checkAuth", {}, 40000, "Session error"),
        ("/user/logout", {"authToken": "x"}, 40000, "Session error"),
        ("/push/push", {"authToken": "x", "toUserId": "1", "roomId": 1, "msg": "m"}, 40000, "Session error"),
        ("/push/pushRoom", {"authToken": "x", "roomId": 1, "msg": "m"}, 40000, "Session error"),
        ("/push/count", {"authToken": "x", "roomId": 1}, 40000, "Session error"),
        ("/push/pushRoom", {"roomId": 0, "msg": "m"}, 1, "roomId"),
        ("/push/pushRoom", {"roomId": 1}, 1, "msg"),
        ("/push/pushRoom", {"roomId": 1, "msg": "\u0001" * 30000}, 1, "too long"),
        ("/push/push", {"toUserId": "99", "roomId": 1, "msg": "m"}, 1, "toUserId"),
        ("/push/push", {"toUserId": "1x", "roomId": 1, "msg": "m"}, 1, "toUserId"),
        ("/push/push", {"toUserId": 1, "roomId": 1, "msg": "m"}, 1, "toUserId"),
        ("/push/count", {"roomId": 0}, 1, "roomId"),
        ("/push/getRoomInfo", {"roomId": 77}, 1, "rpc get room info fail!"),
        ("/user/nonsense", {}, 1, "please check request url !"),
        ("/push/nonsense/deep", {}, 1, "please check request url !"),
    ],
)
def test_faults_have_gochats_codes(shared, path, members, code, text):
    node, token = shared
    members = {"authToken": token, **members}
    if path == "/user/checkAuth" and members["authToken"] == token:
        del members["authToken"]
    answer = ask(node, path, **members)
    assert answer["code"] == code and text in answer["message"], answer
    assert answer["data"] is None


@pytest.fixture(scope="module")
def shared():
    from programs import Node

    node = Node(*FLAGS, "--account-limit-failures", "1000")
    yield node, register(node, "demo")
    node.stop()


def test_a_body_that_is_no_json_is_answered_too(shared):
    node, _ = shared
    answer = node.request("POST", "/user/login", data=b"userName=demo")
    assert answer.status_code == 200 and answer.json()["code"] == 1


def test_a_page_without_a_good_token_is_closed(serve):
    node = serve(*FLAGS, "--gateway-limit-handshake-ms", "2000")
    token = register(node, "demo")
    assert Page(node, "x" * 43).ends() == 4401
    assert Page(node, token, room=0).ends() == 4401
    assert Page(node, token, room="1").ends() == 4401
    bad = RawWebSocket(node.port, "/ws")
    bad.send(TEXT, b"hello")
    assert bad.close_code() == 4401
    silent = RawWebSocket(node.port, "/ws")
    assert silent.close_code() == 4401


def test_the_newer_socket_of_a_user_replaces_the_older_and_stays_reachable(serve):
    node = serve(*FLAGS)
    token = register(node, "demo")
    old = Page(node, token)
    wait_for(node, old, token, 1)
    new = Page(node, token)
    assert old.ends() == 4409
    old.ws.close()
    wait_for(node, new, token, 1)
    ok(node, "/push/push", authToken=token, toUserId="1", roomId=1, msg="to myself")
    assert new.next(2)["msg"] == "to myself"


def test_logins_at_the_same_moment_never_exchange_users(serve):
    node = serve(*FLAGS)
    tokens = [register(node, f"u{i}") for i in range(24)]
    sockets = [RawWebSocket(node.port, "/ws") for _ in tokens]
    for ws, token in zip(sockets, tokens):
        ws.send(TEXT, json.dumps({"authToken": token, "roomId": 1}).encode())

    def are_in():
        ok(node, "/push/count", authToken=tokens[0], roomId=1)
        while sockets[0].has_data(0.2):
            if json.loads(sockets[0].message()[1])["count"] == len(tokens):
                return True
        return False

    eventually(are_in, what="all in the room")
    for i, token in enumerate(tokens):
        ok(node, "/push/push", authToken=token, toUserId=str(i + 1), roomId=1, msg=f"for u{i}")
    for i, ws in enumerate(sockets):
        message = {"op": 4}
        while message["op"] == 4:
            message = json.loads(ws.message()[1])
        assert (message["msg"], message["fromUserName"]) == (f"for u{i}", f"u{i}")


def test_a_later_frame_moves_it_to_another_room(serve):
    node = serve(*FLAGS)
    demo, other = register(node, "demo"), register(node, "other")
    mover, stays = Page(node, demo), Page(node, other)
    wait_for(node, stays, other, 2)
    mover.login(demo, 2)
    assert wait_for(node, mover, demo, 1, room=2) == {"1": "demo"}
    assert wait_for(node, stays, other, 1) == {"2": "other"}
    ok(node, "/push/pushRoom", authToken=other, roomId=2, msg="from outside")
    assert mover.next(3)["fromUserName"] == "other"
    mover.login(other, 1)
    assert mover.ends() == 4401


def test_large_rooms_tell_only_who_asked(serve):
    node = serve(*FLAGS, "--gochat-told-members", "2")
    tokens = [register(node, f"u{i}") for i in range(3)]
    pages = [Page(node, token) for token in tokens]

    def is_full():
        ok(node, "/push/count", authToken=tokens[0], roomId=1)
        while pages[0].ws.has_data(0.2):
            if pages[0].hear() == {"count": 3, "op": 4}:
                return True
        return False

    eventually(is_full, what="three in the room")
    # Behind all answers to itself, since they are told to the user.
    ok(node, "/push/push", authToken=tokens[0], toUserId="1", roomId=1, msg="so far")
    while pages[0].next(2)["msg"] != "so far":
        pass
    ok(node, "/push/count", authToken=tokens[2], roomId=1)
    told = {"count": 3, "op": 4}  # the room heard smaller numbers, before it was so large
    while pages[2].next(4) != told:
        pass
    for path, end in (("/push/push", 2), ("/push/pushRoom", 3)):
        ok(node, path, authToken=tokens[2], toUserId="1", roomId=1, msg="the end")
        while (message := pages[0].hear())["op"] != end:
            assert message != told, "who did not ask was told"
    ok(node, "/push/getRoomInfo", authToken=tokens[1], roomId=1)
    info = pages[1].next(5)
    assert info["count"] == 3 and len(info["roomUserInfo"]) == 2


def test_devices_and_pages_meet(serve):
    node = serve(*FLAGS, *TCP, "--print-counters")
    port = stream_port(node)
    demo, other = register(node, "demo"), register(node, "other")
    page, device = Page(node, demo), Device(port, other)
    wait_for(node, page, demo, 2)
    device.send({"op": 3, "msg": "from tcp", "fromUserId": 2, "fromUserName": "other",
                 "roomId": 1, "authToken": other})
    for client in (page, device):
        message = client.next(3)
        assert (message["msg"], message["fromUserId"], message["fromUserName"]) == ("from tcp", 2, "other")
    ok(node, "/push/pushRoom", authToken=demo, roomId=1, msg="from the page")
    assert device.next(3)["msg"] == "from the page"
    ok(node, "/push/push", authToken=demo, toUserId="2", roomId=1, msg="psst")
    assert device.next(2)["msg"] == "psst"
    ok(node, "/push/count", authToken=demo, roomId=1)
    assert device.next(4) == {"count": 2, "op": 4}
    # Nobody speaks for another.
    for lie in ({"fromUserId": 1}, {"fromUserName": "demo"}, {"authToken": demo}, {"authToken": ""}):
        device.send({"op": 3, "msg": "a lie", "roomId": 1, "authToken": other, **lie})
        answer = device.hear()
        assert answer == {"code": 1, "message": "the sender is not who has the token", "data": None}
    device.send({"op": 9})
    assert device.hear()["code"] == 1
    ok(node, "/push/pushRoom", authToken=demo, roomId=1, msg="after")
    assert page.next(3)["msg"] == "from the page"
    assert page.next(3)["msg"] == "after"
    assert ask(node, "/user/logout", authToken=other)["code"] == 0
    device.ends()
    assert node.counters()["gochat_messages_total"] == 4


def test_what_follows_the_login_at_once_comes_after_it(serve):
    node = serve(*FLAGS, *TCP)
    port = stream_port(node)
    token = register(node, "demo")
    device = Device(port)
    device.socket.sendall(
        packet({"op": 6, "authToken": token, "roomId": 1})
        + b"".join(packet({"op": 3, "msg": str(i), "roomId": 1, "authToken": token}) for i in range(40))
    )
    assert [device.next(3)["msg"] for _ in range(40)] == [str(i) for i in range(40)]


def test_logins_that_follow_each_other_at_once_have_their_turns(serve):
    node = serve(*FLAGS, *TCP, "--print-counters")
    port = stream_port(node)
    token = register(node, "demo")
    page = Page(node, token)
    for room in range(2, 9):
        page.login(token, room)
    assert wait_for(node, page, token, 1, room=8) == {"1": "demo"}

    again = login(node, "demo")
    device = Device(port)
    sent = []
    for room, mine in ((1, token), (2, again), (3, token), (4, again)):
        sent.append(packet({"op": 6, "authToken": mine, "roomId": room}))
        sent += [packet({"op": 3, "msg": str(room), "roomId": room, "authToken": mine})] * 3
    device.socket.sendall(b"".join(sent))
    # What it said in a room that it left may have come too late for it; in the last it stays.
    heard = []
    while heard[-3:] != ["4"] * 3:
        heard.append(device.next(3)["msg"])
    assert heard == sorted(heard)
    assert node.counters()["gochat_messages_total"] == 12


def test_what_comes_before_the_login_is_through_is_bounded(serve):
    node = serve(*FLAGS, *TCP)
    port = stream_port(node)
    device = Device(port)
    login_packet = packet({"op": 6, "authToken": register(node, "demo"), "roomId": 1})
    device.socket.sendall(login_packet + packet({"op": 9}) * 65)
    assert [heard["code"] for heard in device.ends()] == [1]


def test_a_device_is_pinged_and_need_not_answer(serve):
    node = serve(*FLAGS, *TCP, "--gochat-ping-ms", "50", "--gateway-limit-idle-ms", "100")
    port = stream_port(node)
    device = Device(port, register(node, "demo"))
    for _ in range(5):
        assert device.hear_bytes() == b"ping msg"


def test_a_silent_device_ends_where_that_is_asked_for(serve):
    node = serve(*FLAGS, *TCP, "--gochat-tcp-idle-ms", "300")
    port = stream_port(node)
    Device(port, register(node, "demo")).ends()


@pytest.mark.parametrize(
    "sent",
    [
        packet(b"{}", length=0),
        packet(b"{}", length=3),
        packet(b"{}", length=0x8000),
        packet(b"{}", length=-25532),
        packet(b"{}", length=0xFFFF),
        packet(b"{}", version=b"v2"),
        packet(b"{}", version=b"GE"),
        b"GET / HTTP/1.1\r\n\r\n",
        packet(b""),
        packet(b"ping"),
        packet(b"[]"),
        packet(b"\xff\xfe"),
        packet(b'{"op":6}'),
        packet(b'{"op":6,"authToken":"x","roomId":1}'),
        packet(b'{"op":3,"authToken":"x","roomId":1,"msg":"m"}'),
        packet(b"[" * 30000),
    ],
)
def test_one_bad_packet_ends_its_sender_alone(devices, sent):
    node, port, good, token = devices
    bad = Device(port)
    bad.socket.sendall(sent)
    heard = bad.ends()
    assert all(message["code"] for message in heard)
    good.send({"op": 3, "msg": "still here", "roomId": 1, "authToken": token})
    assert good.next(3)["msg"] == "still here"


@pytest.fixture(scope="module")
def devices():
    from programs import Node

    node = Node(*FLAGS, *TCP)
    port = stream_port(node)
    token = register(node, "demo")
    yield node, port, Device(port, token), token
    node.stop()


def test_pieces_of_packets_and_the_largest(serve):
    node = serve(*FLAGS, *TCP)
    port = stream_port(node)
    token = register(node, "demo")
    device = Device(port)
    for byte in packet({"op": 6, "authToken": token, "roomId": 1}):
        device.socket.sendall(bytes([byte]))
    message = {"op": 3, "authToken": token, "roomId": 1, "msg": ""}
    message["msg"] = "m" * (32763 - len(json.dumps(message)))
    assert len(packet(message)) == 32767
    device.send(message)
    # Sent on, it has more members than a packet has room for.
    assert device.hear()["code"] == 1
    message["msg"] = message["msg"][:-200]
    device.send(message)
    assert device.next(3)["msg"] == message["msg"]


def test_other_protocols_meet_in_the_same_rooms(serve):
    node = serve(*FLAGS, "--gateway")
    demo, other = register(node, "demo"), register(node, "other")
    page = Page(node, demo, room=7)
    wait_for(node, page, demo, 1, room=7)
    native = RawWebSocket(node.port, "/connect", {"Authorization": f"Bearer {other}"})

    def say(kind, **data):
        native.send(TEXT, json.dumps({"type": kind, "id": 1, "data": data}).encode())
        while True:
            answer = json.loads(native.message()[1])
            if answer.get("id") == 1:
                assert answer["type"] == "OK", answer
                return answer

    say("JOIN", room="7")
    say("SEND", room="7", body="hello page")
    message = page.next(3)
    assert (message["msg"], message["fromUserName"], message["roomId"]) == ("hello page", "other", 7)
    say("SEND", user="demo", body={"a": [1]})
    assert json.loads(page.next(2)["msg"]) == {"a": [1]}
    ok(node, "/push/pushRoom", authToken=demo, roomId=7, msg="hello native")
    while True:
        push = json.loads(native.message()[1])
        if push["type"] == "PUSH" and push["data"]["items"][0].get("op") == 3:
            break
    (item,) = push["data"]["items"]
    assert (item["from"], item["body"]["msg"]) == ("demo", "hello native")


def test_two_nodes_are_one_place(serve, broker, tmp_path):
    flags = (
        "--profile", "gochat", "--accounts", f"sqlite:{tmp_path / 'accounts'}", *CHEAP,
        "--pubsub", broker.url, "--presence-interval-ms", "100",
    )
    one, two = serve(*flags), serve(*flags)
    demo, other = register(one, "demo"), register(one, "other")
    here, there = Page(one, demo), Page(two, other)
    both = {"1": "demo", "2": "other"}
    assert wait_for(one, here, demo, 2) == both
    assert wait_for(two, there, other, 2) == both

    def is_heard():
        ok(two, "/push/push", authToken=other, toUserId="1", roomId=1, msg="across")
        while here.ws.has_data(0.2):
            if here.hear()["op"] == 2:
                return True
        return False

    eventually(is_heard, what="a message of the other node")
    # A user's newer socket on another node replaces the older.
    newer = Page(two, demo)
    assert here.ends() == 4409
    wait_for(two, newer, demo, 2)


def test_a_page_of_another_origin_may_ask_where_that_is_allowed(serve):
    node = serve(*FLAGS, "--cors-origin", "*", "--allow-origin", "*")
    origin = {"Origin": "http://127.0.0.1:8080"}
    preflight = {**origin, "Access-Control-Request-Method": "POST",
                 "Access-Control-Request-Headers": "content-type"}
    answer = node.request("OPTIONS", "/user/register", headers=preflight)
    assert answer.status_code == 200
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    assert "content-type" in answer.headers["Access-Control-Allow-Headers"].lower()
    members = {"userName": "demo", "passWord": PASSWORD}
    answer = node.request("POST", "/user/register", json=members, headers=origin)
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    page = RawWebSocket(node.port, "/ws", origin)
    page.send(TEXT, json.dumps({"authToken": answer.json()["data"], "roomId": 1}).encode())
    wait_for_count(node, answer.json()["data"], page)


def wait_for_count(node, token, page):
    def is_counted():
        ok(node, "/push/count", authToken=token, roomId=1)
        if not page.has_data(0.2):
            return False
        told = json.loads(page.message()[1])
        assert told["op"] == 4
        return told["count"] == 1  # it may come into the room after it was counted

    eventually(is_counted, what="a count of one")


def test_packets_over_tls(serve, tmp_path):
    authority = Authority(tmp_path)
    certificate, key = authority.issue("server")
    node = serve("--profile", "gochat", "--accounts", "memory", *CHEAP, "--tls-cert", certificate,
                 "--tls-key", key, "--tcp-tls", "gochat=127.0.0.1:0")
    node.http.verify = authority.ca
    port = int(re.fullmatch(r"kujata: gochat on tls://127\.0\.0\.1:(\d+)", node.line())[1])
    token = register(node, "demo")
    device = Device(port, tls=authority.context())
    device.send({"op": 6, "authToken": token, "roomId": 1})
    device.send({"op": 3, "authToken": token, "roomId": 1, "msg": "in secret"})
    assert device.next(3)["msg"] == "in secret"


def test_it_needs_accounts(start):
    from programs import KUJATA, MODEL

    program = start(KUJATA, "serve", "--model", MODEL, "--listen", "127.0.0.1:0", "--profile", "gochat")
    assert program.wait() == 2
    assert "--accounts" in program.stderr()
