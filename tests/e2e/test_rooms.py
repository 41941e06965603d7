"""The native protocol of the gateway: rooms and users, in both encodings, on one node and two."""

import json
import os

import msgpack
import pytest

from deadline import eventually
from native import Client, bearer, join_across
from pki import Authority
from programs import Broker
from rawws import BINARY, CLOSE, TEXT, RawWebSocket, Refused

OPEN = ("--gateway", "--gateway-open")


@pytest.fixture
def tokens(tmp_path):
    path = tmp_path / "tokens"
    path.write_text("one sub=ann\ntwo sub=bob\nphone sub=ann device=phone\n")
    return str(path)


def test_welcome_says_what_holds(serve):
    node = serve(*OPEN, "--gateway-limit-idle-ms", "30000")
    data = Client(node).welcome["data"]
    assert data["admitted"] is True
    assert data["idle_ms"] == 30000
    assert data["max_bytes"] == 65536
    assert data["session"].startswith(f"{data['node']:x}-")
    assert "user" not in data


@pytest.mark.parametrize("sender", ["json", "msgpack"])
@pytest.mark.parametrize("receiver", ["json", "msgpack"])
def test_what_is_said_in_a_room_is_heard_in_it(serve, sender, receiver):
    node = serve(*OPEN)
    here, there, out = Client(node, sender), Client(node, receiver), Client(node)
    body = {"text": "h\u00e9 <>&", "list": [1, -2, 3.5, None, True], "deep": {"a": {}}}
    there.ok("JOIN", room="live://1000")
    here.ok("JOIN", room="live://1000")
    out.ok("JOIN", room="other")
    answer = here.ok("SEND", room="live://1000", body=body)
    assert answer["state"] == "accepted"
    assert answer["reached"] == 2
    push = there.next()
    assert push["topic"] == "room.live://1000"
    (item,) = push["data"]["items"]
    assert item["body"] == body
    assert item["id"] == answer["id"]
    assert item["node"] == here.welcome["data"]["node"]
    assert item["session"] == here.welcome["data"]["session"]
    assert "from" not in item
    assert out.ask("PING")["type"] == "PONG"
    assert not [m for m in out.pushes if m["type"] == "PUSH"]


def test_rooms_are_told_who_comes_and_goes(serve, tokens):
    node = serve("--gateway", "--auth-tokens", tokens)
    ann = Client(node, headers=bearer("one"))
    assert ann.welcome["data"]["user"] == "ann"
    ann.ok("JOIN", room="r")
    assert ann.next("EVENT")["data"]["kind"] == "join"
    bob = Client(node, headers=bearer("two"))
    bob.ok("JOIN", room="r")
    event = ann.next("EVENT")["data"]
    assert event == {
        "kind": "join",
        "room": "r",
        "user": "bob",
        "session": bob.welcome["data"]["session"],
    }
    bob.ws.close()
    assert ann.next("EVENT")["data"]["kind"] == "leave"
    assert ann.ok("QUERY", what="room", room="r")["count"] == 1


def test_a_user_is_reached_and_nobody_speaks_for_another(serve, tokens):
    node = serve("--gateway", "--auth-tokens", tokens)
    ann, bob = Client(node, headers=bearer("one")), Client(node, headers=bearer("two"))
    assert ann.ok("SEND", user="bob", body="hi")["reached"] == 1
    (item,) = bob.next()["data"]["items"]
    assert (item["from"], item["body"]) == ("ann", "hi")
    assert ann.ok("SEND", user="bob", body="hi", **{"from": "ann"})["reached"] == 1
    assert ann.error("SEND", user="bob", body="hi", **{"from": "bob"}) == "forbidden"
    assert ann.ok("SEND", user="nobody", body=1)["reached"] == 0


def test_who_shows_no_token_may_bring_it(serve, tokens):
    node = serve("--gateway", "--auth-tokens", tokens, "--gateway-limit-handshake-ms", "60000")
    client = Client(node)
    assert client.welcome["data"]["admitted"] is False
    assert client.ask("PING")["type"] == "PONG"
    assert client.error("JOIN", room="r") == "unauthorized"
    assert client.error("AUTH") == "bad_request"
    assert client.ok("AUTH", token="one", device="phone") == {"user": "ann"}
    client.ok("JOIN", room="r")
    assert client.error("AUTH", token="two") == "done"

    refused = Client(node)
    assert refused.error("AUTH", token="wrong") == "unauthorized"
    assert refused.hear() == 4401


def test_a_bad_token_in_the_handshake_is_refused_at_once(serve, tokens):
    node = serve("--gateway", "--auth-tokens", tokens)
    for path in ("/connect", "/events"):
        with pytest.raises(Refused) as refusal:
            RawWebSocket(node.port, path, bearer("wrong"))
        assert refusal.value.status == 401


def test_who_says_nothing_is_closed_in_time(serve, tokens):
    node = serve("--gateway", "--auth-tokens", tokens, "--gateway-limit-handshake-ms", "200")
    client = Client(node)
    assert client.hear()["type"] == "KICK"
    assert client.hear() == 4401


def test_open_lets_in_nobody_in_particular_and_users(serve, tokens):
    node = serve("--gateway", "--gateway-open", "--auth-tokens", tokens)
    nobody, ann = Client(node), Client(node, headers=bearer("one"))
    assert nobody.welcome["data"]["admitted"] is True
    nobody.ok("SEND", user="ann", body="who am I")
    assert "from" not in ann.next()["data"]["items"][0]
    assert nobody.ok("AUTH", token="two") == {"user": "bob"}


def test_origins_and_limits_are_those_of_sessions(serve):
    node = serve(*OPEN, "--limit-sessions", "2")
    with pytest.raises(Refused) as refusal:
        RawWebSocket(node.port, "/connect", {"Origin": "https://elsewhere.example"})
    assert refusal.value.status == 403
    clients = [Client(node), Client(node)]
    with pytest.raises(Refused) as refusal:
        RawWebSocket(node.port, "/connect")
    assert refusal.value.status == 503
    clients.pop().ws.close()

    def has_place():
        try:
            return Client(node)
        except Refused:
            return None

    eventually(has_place, what="a place that was given back")


def test_nothing_else_is_below_the_path(serve):
    node = serve(*OPEN, "--gateway-path", "/a/b")
    Client(node, path="/a/b")
    for path in ("/a/b/c", "/a", "/connect"):
        with pytest.raises(Refused) as refusal:
            RawWebSocket(node.port, path)
        assert refusal.value.status == 404


def test_every_request_gets_an_answer(serve):
    node = serve(*OPEN, "--gateway-quiet")
    client = Client(node)
    assert client.error("DANCE") == "unknown_type"
    assert client.error("JOIN") == "bad_request"
    assert client.error("JOIN", room="") == "bad_request"
    assert client.error("JOIN", room="x" * 129) == "bad_request"
    assert client.ok("JOIN", room="\u00e9" * 64) == {"room": "\u00e9" * 64}
    assert client.error("SEND", body=1) == "bad_request"
    assert client.error("SEND", room="r", user="u", body=1) == "bad_request"
    assert client.error("SEND", room="r") == "bad_request"
    assert client.error("SEND", room="r", body=1) == "not_member"
    assert client.error("QUERY") == "bad_request"
    assert client.error("QUERY", what="room", room="r") == "not_member"
    assert client.error("ACK", ids=[1]) == "bad_request"
    assert client.ok("ACK", ids=["a", "b"]) == {"accepted": 2}
    assert client.ok("LEAVE", room="never") == {"room": "never"}
    for text in (b"[]", b"{}", b"nonsense", b'{"type":1}', b'{"type":"PING","id":[]}'):
        client.ws.send(TEXT, text)
        answer = client.hear()
        assert answer["type"] == "ERROR" and "id" not in answer, (text, answer)
    client.ws.send(TEXT, b'{"type":"PING","id":"' + b"x" * 128 + b'"}')
    assert client.hear() == {"type": "PONG", "id": "x" * 128}
    client.ws.send(BINARY, msgpack.packb({"type": "PING"}))
    assert client.hear() == {"type": "PONG"}


def test_rooms_of_a_client_are_limited_and_listed(serve):
    node = serve(*OPEN, "--gateway-limit-rooms", "3")
    client = Client(node)
    for room in "abc":
        client.ok("JOIN", room=room)
    assert client.error("JOIN", room="d") == "limit"
    client.ok("LEAVE", room="b")
    assert sorted(client.ok("QUERY", what="rooms")["rooms"]) == ["a", "c"]


def test_members_are_paged(serve):
    node = serve(*OPEN)
    clients = [Client(node) for _ in range(5)]
    for client in clients:
        client.ok("JOIN", room="r")
    first = clients[0].ok("QUERY", what="room", room="r", max=3)
    rest = clients[0].ok("QUERY", what="room", room="r", max=3, skip=3)
    assert first["count"] == 5
    sessions = [member["session"] for member in first["members"] + rest["members"]]
    assert sessions == [client.welcome["data"]["session"] for client in clients]


def test_a_message_too_large_is_closed_with_1009(serve):
    node = serve(*OPEN, "--gateway-limit-message-bytes", "1000")
    client = Client(node)
    client.send("SEND", room="r", body="x" * 1000)
    assert client.hear() == 1009


def test_a_newer_client_replaces_the_older(serve, tokens):
    node = serve("--gateway", "--auth-tokens", tokens, "--gateway-users", "device")
    old = Client(node, headers=bearer("phone"))
    other = Client(node, path="/connect?device=laptop", headers=bearer("one"))
    new = Client(node, headers=bearer("phone"))
    kick = old.next("KICK")
    assert kick["data"] == {"code": 4409, "reason": "replaced"}
    assert old.hear() == 4409
    assert new.ask("PING")["type"] == "PONG"
    assert other.ask("PING")["type"] == "PONG"


def test_any_frame_is_a_sign_of_life_and_silence_is_not(serve):
    node = serve(*OPEN, "--gateway-limit-idle-ms", "1500")
    alive, silent = Client(node), Client(node)

    def is_gone():
        assert alive.ask("PING")["type"] == "PONG"
        try:
            return silent.ws.has_data(0.05) and silent.ws.receive()[2] == CLOSE
        except (EOFError, ConnectionError):
            return True

    eventually(is_gone, what="the end of a silent client")
    assert alive.ask("PING")["type"] == "PONG"


def test_batches_hold_what_came_in_a_window(serve):
    node = serve(*OPEN, "--gateway-batch-ms", "300", "--gateway-quiet")
    clients = Client(node), Client(node, "msgpack")
    for client in clients:
        client.ok("JOIN", room="r")
    for number in range(10):
        clients[0].ok("SEND", room="r", body=number)
    for client in clients:
        batches = []
        while sum(map(len, batches)) < 10:
            batches.append([item["body"] for item in client.next()["data"]["items"]])
        assert sum(batches, []) == list(range(10))
        assert batches[0] == [0], "the first goes out at once"
        assert len(batches) < 10


def test_without_a_way_in_the_node_does_not_start(start):
    import programs

    program = start(programs.KUJATA, "serve", "--model", programs.MODEL, "--gateway")
    assert program.wait() == 2
    assert "--gateway-open" in program.stderr()


@pytest.mark.skipif(
    os.environ.get("KUJATA_OWN_CIVETWEB") == "0", reason="built on a civetweb without TLS"
)
def test_a_room_is_the_same_over_tls(serve, tmp_path):
    authority = Authority(tmp_path)
    certificate, key = authority.issue("server")
    node = serve(*OPEN, "--tls-cert", certificate, "--tls-key", key)
    clients = [Client(node, encoding, tls=authority.context()) for encoding in ("json", "msgpack")]
    for client in clients:
        client.ok("JOIN", room="r")
    for number in range(100):
        clients[0].send("SEND", room="r", body=number)
    for client in clients:
        assert [client.body() for _ in range(100)] == list(range(100))


def test_users_and_rooms_need_no_threads(serve, tmp_path):
    count = 200
    tokens = tmp_path / "many"
    tokens.write_text("".join(f"token{i} sub=user{i}\n" for i in range(count)))
    node = serve("--gateway", "--auth-tokens", str(tokens))
    first = Client(node, headers=bearer("token0"))
    first.ok("JOIN", room="room0")
    before = node.threads()
    clients = [Client(node, headers=bearer(f"token{i}")) for i in range(1, count)]
    for number, client in enumerate(clients):
        client.ok("JOIN", room=f"room{number}")
    assert node.threads() <= before + 2, "workers of HTTP come and go"
    for number in range(1, count):
        assert first.ok("SEND", user=f"user{number}", body=number)["reached"] == 1
    for number, client in enumerate(clients):
        assert client.body() == number + 1


def test_events_and_rooms_live_side_by_side(serve):
    node = serve(*OPEN)
    session, client = RawWebSocket(node.port), Client(node)
    client.ok("JOIN", room="r")
    node.create(title="x")
    client.ok("SEND", room="r", body="y")
    assert json.loads(session.message()[1])["identity"] == "task"
    assert client.body() == "y"


# ---- two nodes ----


def test_a_room_spans_nodes_in_order(serve, broker):
    nodes = [serve(*OPEN, "--gateway-quiet", "--pubsub", broker.url) for _ in range(2)]
    clients = [Client(nodes[0]), Client(nodes[1]), Client(nodes[1], "msgpack")]
    join_across(clients, "r")
    for number in range(300):
        clients[0].send("SEND", room="r", body=["a", number])
        clients[1].send("SEND", room="r", body=["b", number])
    for client in clients:
        heard = {"a": [], "b": []}
        sequences = {}
        while sum(map(len, heard.values())) < 600:
            for item in client.next()["data"]["items"]:
                who, number = item["body"]
                heard[who].append(number)
                assert item["seq"] == sequences.get(item["node"], item["seq"] - 1) + 1
                sequences[item["node"]] = item["seq"]
        assert heard == {"a": list(range(300)), "b": list(range(300))}


def test_a_user_is_found_on_the_other_node(serve, broker, tokens):
    flags = ("--gateway", "--auth-tokens", tokens, "--pubsub", broker.url)
    nodes = [serve(*flags) for _ in range(2)]
    ann, bob = Client(nodes[0], headers=bearer("one")), Client(nodes[1], headers=bearer("two"))

    def heard():
        ann.ok("SEND", user="bob", body="hi")
        return bob.ws.has_data(0.2)

    eventually(heard, what="reaching a user of another node")
    (item,) = bob.next()["data"]["items"]
    assert (item["from"], item["body"]) == ("ann", "hi")
    assert item["node"] == ann.welcome["data"]["node"] != bob.welcome["data"]["node"]


def test_a_newer_client_replaces_the_older_of_another_node(serve, broker, tokens):
    flags = ("--gateway", "--auth-tokens", tokens, "--pubsub", broker.url, "--gateway-users", "one")
    nodes = [serve(*flags) for _ in range(2)]
    old = Client(nodes[0], headers=bearer("one"))
    sender = Client(nodes[1], headers=bearer("two"))

    def heard():
        sender.ok("SEND", user="ann", body="are you there")
        return old.ws.has_data(0.2)

    eventually(heard, what="reaching the older client")
    new = Client(nodes[1], headers=bearer("one"))
    assert old.next("KICK")["data"]["reason"] == "replaced"
    assert old.hear() == 4409
    assert new.ask("PING")["type"] == "PONG"


def test_rooms_come_back_with_the_broker(serve, broker):
    nodes = [serve(*OPEN, "--pubsub", broker.url, "--gateway-quiet") for _ in range(2)]
    clients = [Client(node) for node in nodes]
    join_across(clients, "r")
    broker.stop()
    for client in clients:
        assert client.ask("PING")["type"] == "PONG"
        client.ok("JOIN", room="meanwhile")
        client.ok("LEAVE", room="r")
        client.ok("JOIN", room="r")
    again = Broker(port=broker.port)
    try:
        join_across(clients, "r")
        join_across(clients, "meanwhile")
    finally:
        for client in clients:
            client.ws.close()
        again.stop()
