"""The push API: an application's servers reach clients, over one node and over two."""

import base64
import time

import pytest

from api import Api, api_flags
from deadline import eventually
from programs import Broker
from test_rooms import OPEN, Client, bearer

BOTH = (*OPEN, *api_flags())


@pytest.fixture
def tokens(tmp_path):
    path = tmp_path / "tokens"
    path.write_text("one sub=ann\ntwo sub=bob\n")
    return str(path)


def accepted(answer):
    assert answer.status_code == 202, answer.text
    return answer.json()


def push(api, to, *items, **more):
    return accepted(api.post("/v1/push", json={"to": to, "items": list(items), **more}))


def fault(api, status, path="/v1/push", **body):
    answer = api.post(path, json=body)
    assert answer.status_code == status, answer.text
    assert set(answer.json()) == {"error"}
    return answer.json()["error"]


def session(client):
    return client.welcome["data"]["session"]


def test_a_push_reaches_all_rooms_users_and_sessions(serve, tokens):
    node = serve("--gateway", "--auth-tokens", tokens, *api_flags())
    api = Api(node)
    ann, bob = Client(node, headers=bearer("one")), Client(node, "msgpack", headers=bearer("two"))
    ann.ok("JOIN", room="live://1000")

    told = push(api, {"all": True}, {"n": 1})
    assert (told["sessions"], told["pushes"]) == (2, 1)
    for client in (ann, bob):
        message = client.next()
        assert message["topic"] == "all"
        (item,) = message["data"]["items"]
        assert (item["body"], item["id"]) == ({"n": 1}, told["id"])
        assert "from" not in item and "op" not in item

    assert push(api, {"rooms": ["live://1000", "empty"]}, "r", op=1000)["sessions"] == 1
    (item,) = ann.next()["data"]["items"]
    assert (item["body"], item["op"]) == ("r", 1000)

    assert push(api, {"users": ["ann", "bob", "bob"]}, 1, 2, **{"from": "system"})["sessions"] == 2
    for client in (ann, bob):
        for body in (1, 2):
            (item,) = client.next()["data"]["items"]
            assert (item["body"], item["from"]) == (body, "system")

    assert push(api, {"sessions": [session(bob)]}, None)["sessions"] == 1
    assert bob.body() is None
    assert ann.ask("PING")["type"] == "PONG"
    assert [m for m in ann.pushes if m["type"] == "PUSH"] == []


def test_bytes_are_pushed_as_they_are(serve):
    node = serve(*BOTH)
    api = Api(node)
    client = Client(node)
    sent = [b"", b"a", b"ab", b"abc", bytes(range(256)), b"{}"]
    texts = [base64.b64encode(data).decode() for data in sent]
    answer = accepted(api.post("/v1/push", json={"to": {"all": True}, "bytes": texts}))
    assert answer["pushes"] == len(sent)
    for text in texts:
        (item,) = client.next()["data"]["items"]
        assert item["bytes"] == text and "body" not in item


def test_what_cannot_be_pushed_is_refused_whole(serve):
    node = serve(*BOTH, "--limit-body-bytes", "400000")
    api = Api(node)
    everybody = {"all": True}
    for to in (
        None, [], {}, {"all": False}, {"all": 1}, {"rooms": []}, {"rooms": "r"}, {"rooms": [""]},
        {"rooms": [1]}, {"rooms": ["x" * 129]}, {"sessions": ["x"]}, {"users": ["a\0b"]},
        {"rooms": ["a"], "users": ["b"]}, {"people": ["a"]}, {"rooms": ["r"] * 1001},
    ):
        fault(api, 400, to=to, items=[1])
    for items in (None, [], {}, 1, [1] * 101):
        fault(api, 400, to=everybody, items=items)
    assert "ttl_s" in fault(api, 400, to=everybody, items=[1], ttl_s=60)
    assert "speeed" in fault(api, 400, to=everybody, items=[1], speeed=1)
    for data in ([], ["a"], ["YQ"], ["YQ==YQ=="], ["Y==="], ["====" ], ["YQ= "], [1], ["Y\n=="], ["YQ\0="]):
        fault(api, 400, to=everybody, bytes=data)
    fault(api, 400, to=everybody, items=[1], bytes=["YQ=="])
    fault(api, 400, to=everybody, items=[1], op="1")
    fault(api, 400, to=everybody, items=[1], ttl_s=-1)
    fault(api, 400, to=everybody, items=[1], batch=1)
    fault(api, 400, to=everybody, items=[1], speed=-1)
    fault(api, 400, to={"rooms": ["r"]}, items=[1], speed=1)
    fault(api, 400, to=everybody, items=[1], **{"from": ""})
    fault(api, 413, to=everybody, items=["x" * 262144])
    fault(api, 413, to={"rooms": [f"r{i}" for i in range(101)]}, items=[1] * 100)
    assert api.post("/v1/push", data="x" * 400001).status_code == 413
    for body in ("", "[]", "{", '{"to":{"all":true},"items":[1],"items":[2]}', "[" * 100):
        assert api.post("/v1/push", data=body).status_code == 400, body
    assert api.get("/v1/push").status_code == 405
    assert api.post("/v1/push", headers={"Authorization": "Bearer no"}).status_code == 401
    assert push(api, {"all": True}, {"a": 1})["sessions"] == 0


def test_a_session_that_is_gone_is_told_of(serve):
    node = serve(*BOTH)
    api = Api(node)
    gone, here = Client(node), Client(node)
    gone.ws.close()
    eventually(lambda: api.get("/v1/online").json()["sessions"] == 1, what="the end of a session")
    assert "gone" in fault(api, 404, to={"sessions": [session(gone)]}, items=[1])
    told = push(api, {"sessions": [session(gone), session(here)]}, "x")
    assert told["sessions"] == 1
    assert [(f["to"], f["status"]) for f in told["failed"]] == [(session(gone), 404)]
    assert here.body() == "x"


def test_a_batch_has_an_answer_for_each_push(serve):
    node = serve(*BOTH)
    api = Api(node)
    client = Client(node)
    client.ok("JOIN", room="r")
    messages = [{"to": {"rooms": ["r"]}, "items": [n]} for n in range(50)]
    messages.insert(7, {"to": {"rooms": ["r"]}})
    messages.insert(9, 5)
    results = accepted(api.post("/v1/push/batch", json={"messages": messages}))["results"]
    assert [r["status"] for r in results] == [202] * 7 + [400, 202, 400] + [202] * 42
    assert "items" in results[7]["error"]
    assert results[0]["sessions"] == 1
    assert [client.body() for _ in range(50)] == list(range(50))
    assert len({r["id"] for r in results if "id" in r}) == 50

    fault(api, 400, path="/v1/push/batch")
    fault(api, 400, path="/v1/push/batch", messages=[])
    fault(api, 400, path="/v1/push/batch", messages=[{}] * 1001)
    fault(api, 400, path="/v1/push/batch", messages=[{}], more=1)
    many = {"to": {"rooms": [f"r{i}" for i in range(60)]}, "items": [1] * 100}
    results = accepted(api.post("/v1/push/batch", json={"messages": [many, many]}))["results"]
    assert [r["status"] for r in results] == [202, 413]


def test_kicks_end_sessions_with_a_word(serve, tokens):
    node = serve("--gateway", "--gateway-open", "--auth-tokens", tokens, *api_flags())
    api = Api(node)
    ann, other = Client(node, headers=bearer("one")), Client(node)
    accepted(api.post("/v1/kick", json={"to": {"users": ["ann"]}, "reason": "bye"}))
    assert ann.next("KICK")["data"] == {"code": 4403, "reason": "bye"}
    assert ann.hear() == 4403
    assert other.ask("PING")["type"] == "PONG"
    accepted(api.post("/v1/kick", json={"to": {"all": True}, "code": 1001}))
    assert other.next("KICK")["data"]["code"] == 1001
    assert other.hear() == 1001
    for body in ({"code": 1005}, {"code": "x"}, {"code": 99999}, {"reason": 1}, {"reason": "x" * 124}):
        fault(api, 400, path="/v1/kick", to={"all": True}, **body)
    fault(api, 400, path="/v1/kick")


def test_who_is_online_is_asked_in_pages_and_many_at_once(serve, tokens):
    node = serve("--gateway", "--gateway-open", "--auth-tokens", tokens, *api_flags())
    api = Api(node)
    clients = [Client(node, headers=bearer("one")) for _ in range(2)] + [Client(node)]
    for client in clients:
        client.ok("JOIN", room="a room")
    counts = api.get("/v1/online").json()
    assert counts == {
        "node": clients[0].welcome["data"]["node"], "sessions": 3, "users": 1, "rooms": 1,
    }
    page = api.get("/v1/online", params={"room": "a room", "max": 2}).json()
    assert (page["sessions"], len(page["members"])) == (3, 2)
    assert page["members"][0] == {"session": session(clients[0]), "user": "ann"}
    rest = api.get("/v1/online", params={"room": "a room", "skip": 2}).json()
    assert rest["members"] == [{"session": session(clients[2])}]
    assert api.get("/v1/online", params={"user": "ann"}).json()["sessions"] == 2
    assert api.get("/v1/online", params={"room": "none"}).json()["members"] == []
    for bad in ({"room": ""}, {"room": "r", "max": 0}, {"room": "r", "max": 1001}, {"room": "r", "skip": "x"},
                {"room": "r", "user": "u"}, {"room": "x" * 129}):
        assert api.get("/v1/online", params=bad).status_code == 400, bad

    many = api.post("/v1/online", json={"users": ["ann", "bob"], "rooms": ["a room", "b"]}).json()
    assert many["users"] == {"ann": 2, "bob": 0}
    assert many["rooms"] == {"a room": 3, "b": 0}
    for bad in ({}, {"users": []}, {"users": [1]}, {"sessions": ["a"]}, {"users": ["a"] * 1001}):
        fault(api, 400, path="/v1/online", **bad)


def test_stats_are_the_counters(serve):
    node = serve(*BOTH)
    api = Api(node)
    client = Client(node)
    for number in range(3):
        push(api, {"all": True}, number)
        assert client.body() == number
    stats = api.get("/v1/stats").json()
    assert stats["sessions"] == 1
    assert stats["counters"]["gateway_published_total"] == 3
    assert stats["counters"]["route_requests_total"] == 3


def test_clients_of_other_nodes_are_reached(serve, broker):
    flags = ("--pubsub", broker.url, *OPEN)
    first, second = serve(*flags, *api_flags()), serve(*flags)
    api = Api(first)
    here, there = Client(first), Client(second)
    for client in (here, there):
        client.ok("JOIN", room="r")

    def both_hear():
        push(api, {"rooms": ["r"]}, "warm")
        there.ask("PING")
        return any(m["type"] == "PUSH" for m in there.pushes)

    eventually(both_hear, what="a push on the other node")
    sent = [{"n": n} for n in range(200)]
    for item in sent:
        push(api, {"rooms": ["r"]}, item)
    for client in (here, there):
        bodies = []
        while len(bodies) < len(sent):
            body = client.body()
            if body != "warm":
                bodies.append(body)
        assert bodies == sent
    told = push(api, {"sessions": [session(there)]}, "you")
    assert told["sessions"] == 0  # of this node
    assert there.body() == "you"
    accepted(api.post("/v1/kick", json={"to": {"sessions": [session(there)]}}))
    assert there.next("KICK")["data"]["code"] == 4403


def test_a_broadcast_with_a_speed_reaches_each_once_in_order(serve):
    node = serve(*BOTH, "--shards", "2")
    api = Api(node)
    clients = [Client(node, ("json", "msgpack")[i % 2]) for i in range(20)]
    begun = time.monotonic()
    assert push(api, {"all": True}, "slow", speed=40)["sessions"] == 20
    push(api, {"all": True}, "behind")
    for client in clients:
        assert [client.body(), client.body()] == ["slow", "behind"]
    assert time.monotonic() - begun > 0.3  # 20 at 40 a second, less the first and a tick
    for client in clients:
        assert client.ask("PING")["type"] == "PONG"
        assert client.pushes == []


def test_a_broadcast_with_a_speed_is_finished_when_the_node_stops(serve):
    node = serve(*BOTH, "--shards", "2")
    api = Api(node)
    clients = [Client(node) for _ in range(10)]
    assert push(api, {"all": True}, "slow", speed=1)["sessions"] == 10
    push(api, {"all": True}, "behind")
    node.stop()
    for client in clients:
        assert [client.body(), client.body()] == ["slow", "behind"]


def test_what_may_not_wait_for_a_batch_does_not(serve):
    node = serve(*BOTH, "--gateway-quiet", "--gateway-batch-ms", "600000")
    api = Api(node)
    client = Client(node)
    client.ok("JOIN", room="r")
    push(api, {"rooms": ["r"]}, "first", "waits", "too")
    push(api, {"rooms": ["r"]}, "now", batch=False)
    heard = [[item["body"] for item in client.next()["data"]["items"]] for _ in range(3)]
    assert heard == [["first"], ["waits", "too"], ["now"]]


def test_without_the_broker_clients_here_are_reached_once(serve, broker):
    flags = ("--pubsub", broker.url, *OPEN, "--gateway-quiet")
    first, second = serve(*flags, *api_flags()), serve(*flags)
    api = Api(first)
    here, there = Client(first), Client(second)
    for client in (here, there):
        client.ok("JOIN", room="r")
    there.ok("JOIN", room="there")

    def heard(client, body):
        client.ask("PING")
        return [m for m in client.pushes if m["type"] == "PUSH" and m["data"]["items"][0]["body"] == body]

    def both_hear():
        push(api, {"rooms": ["r"]}, "warm")
        return heard(there, "warm")

    eventually(both_hear, what="a push on the other node")
    broker.stop()
    eventually(lambda: push(api, {"rooms": ["r"]}, "lost?").get("degraded"), what="noticing it")
    told = push(api, {"rooms": ["r"]}, "away")
    assert (told["sessions"], told["degraded"]) == (1, True)
    eventually(lambda: heard(here, "away"), what="a push without the broker")
    assert "broker is away" in fault(api, 503, to={"rooms": ["there"]}, items=["nobody"])
    assert "broker is away" in fault(api, 503, to={"sessions": [session(there)]}, items=["nobody"])
    assert push(api, {"sessions": [session(here)]}, "you")["sessions"] == 1
    assert not heard(there, "away")

    again = Broker(port=broker.port)
    try:
        def back():
            return "degraded" not in push(api, {"rooms": ["r"]}, "back") and heard(there, "back")

        eventually(back, what="its return")
        # What waited for the broker was heard there if that node was back sooner.
        assert len(heard(there, "away")) <= 1
        assert len(heard(here, "away")) == 1
        assert len(heard(here, "you")) == 1
        assert not heard(there, "nobody")
    finally:
        for client in (here, there):
            client.ws.close()
        again.stop()


def test_what_asks_to_be_kept_waits_for_who_is_away(serve, tokens):
    node = serve("--gateway", "--auth-tokens", tokens, "--messages", "memory", *api_flags())
    api = Api(node)
    told = push(api, {"users": ["ann", "bob"]}, "later", ttl_s=3600, **{"from": "system"})
    assert (told["sessions"], told["pushes"]) == (0, 2)
    push(api, {"users": ["ann"]}, "not kept")
    ann = Client(node, headers=bearer("one"))
    message = ann.next()
    assert message["data"]["mailbox"] is True
    (item,) = message["data"]["items"]
    assert (item["body"], item["from"], item["id"]) == ("later", "system", told["id"])
    assert ann.ok("ACK", ids=[item["id"]]) == {"accepted": 1}
    push(api, {"users": ["ann"]}, "now", ttl_s=3600)
    assert ann.body() == "now"
    for to in ({"all": True}, {"sessions": [session(ann)]}):
        assert "ttl_s" in fault(api, 400, to=to, items=[1], ttl_s=1)


def test_history_is_looked_up(serve, tokens):
    node = serve("--gateway", "--auth-tokens", tokens, "--messages", "memory", *api_flags())
    api = Api(node)
    ann = Client(node, headers=bearer("one"))
    ann.ok("JOIN", room="r")
    for number in range(5):
        push(api, {"rooms": ["r"]}, number, op=7)
    ann.ok("SEND", room="r", body="mine")
    accepted(api.post("/v1/push", json={"to": {"rooms": ["r"]}, "bytes": ["AP8="]}))

    def look(**query):
        answer = api.get("/v1/history", params=query)
        assert answer.status_code == 200, answer.text
        return answer.json()

    page = look(room="r")
    assert [i.get("body", i.get("bytes")) for i in page["items"]] == [0, 1, 2, 3, 4, "mine", "AP8="]
    assert page["more"] is False
    assert (page["items"][0]["op"], page["items"][5]["from"]) == (7, "ann")
    ids = [item["id"] for item in page["items"]]
    assert [i["id"] for i in look(room="r", before=ids[4], max=2)["items"]] == ids[2:4]
    assert [i["id"] for i in look(room="r", after=ids[4])["items"]] == ids[5:]
    assert look(room="r", max=2)["more"] is True
    ann.ok("SEND", user="bob", body="to bob")
    assert look(user="ann") == {"items": [], "more": False}
    assert [i["body"] for i in look(user="bob", **{"with": "ann"})["items"]] == ["to bob"]
    for bad in ({}, {"room": ""}, {"room": "r", "user": "u"}, {"room": "r", "with": "u"}, {"room": "r", "max": 0},
                {"room": "r", "max": 1001}, {"room": "r", "before": "x"}, {"room": "r", "after": "0" * 16},
                {"room": "r", "before": ids[0], "after": ids[1]}):
        assert api.get("/v1/history", params=bad).status_code == 400, bad
    plain = Api(serve(*BOTH))
    assert plain.get("/v1/history", params={"room": "r"}).status_code == 404
