"""Mailboxes, direct messages and histories of the native protocol."""

import contextlib
import signal
import sqlite3
import subprocess
import threading

import pytest

from api import Api, api_flags
from deadline import eventually
from native import Client, bearer
from programs import KUJATA, MODEL, SANITIZED, Node

ENCODINGS = ("json", "msgpack")


@pytest.fixture
def tokens(tmp_path):
    path = tmp_path / "tokens"
    path.write_text("one sub=ann\ntwo sub=bob\nthree sub=cid\n")
    return str(path)


@pytest.fixture
def keep(serve, tokens, tmp_path):
    """keep(*flags) starts a node with mailboxes in a file."""

    def start(*flags, where=f"sqlite:{tmp_path}/messages.db"):
        return serve("--gateway", "--auth-tokens", tokens, "--messages", where, *flags)

    return start


def login(node, token, encoding="json"):
    return Client(node, encoding, headers=bearer(token))


def mail(client):
    """The next page of the mailbox; pushes that come live are passed over."""
    while True:
        push = client.next()
        if push["data"].get("mailbox"):
            return push["data"]


def live(client):
    """The next push that is no page of the mailbox, which may bring the same message besides."""
    while True:
        push = client.next()
        if not push["data"].get("mailbox"):
            return push["data"]


def bodies(items):
    return [item["body"] for item in items]


# ---- mailboxes ----


@pytest.mark.parametrize("sender", ENCODINGS)
@pytest.mark.parametrize("receiver", ENCODINGS)
def test_what_is_sent_to_a_user_who_is_away_waits(keep, sender, receiver):
    node = keep()
    ann = login(node, "one", sender)
    sent = [ann.ok("SEND", user="bob", body={"n": n, "t": "h\u00e9"}) for n in range(3)]
    assert [(s["state"], s["reached"]) for s in sent] == [("stored", 0)] * 3
    bob = login(node, "two", receiver)
    page = mail(bob)
    assert page["more"] is False
    assert bodies(page["items"]) == [{"n": n, "t": "h\u00e9"} for n in range(3)]
    assert [item["id"] for item in page["items"]] == [s["id"] for s in sent]
    assert {(item["from"], item["to"]) for item in page["items"]} == {("ann", "bob")}
    assert bob.ok("QUERY", what="unread") == {"unread": 3}
    ids = [item["id"] for item in page["items"]]
    assert bob.ok("ACK", ids=ids[:2] + ["0" * 16, "what"]) == {"accepted": 2}
    receipt = ann.next("EVENT")["data"]
    assert receipt == {"kind": "delivered", "user": "bob", "ids": ids[:2]}
    assert bob.ok("QUERY", what="unread") == {"unread": 1}
    bob.ws.close()
    bob = login(node, "two", receiver)
    assert [item["id"] for item in mail(bob)["items"]] == ids[2:]
    assert bob.ok("ACK", ids=ids) == {"accepted": 1}
    assert bob.ok("QUERY", what="unread") == {"unread": 0}


def test_a_token_in_a_message_opens_the_mailbox_too(keep):
    node = keep()
    login(node, "one").ok("SEND", user="bob", body="hi")
    bob = Client(node)
    assert bob.ok("AUTH", token="two") == {"user": "bob"}
    assert bodies(mail(bob)["items"]) == ["hi"]


def test_who_is_there_hears_at_once_and_it_waits_until_it_is_acknowledged(keep):
    node = keep(where="memory")
    ann, bob = login(node, "one"), login(node, "two")
    sent = ann.ok("SEND", user="bob", body=1)
    assert (sent["state"], sent["reached"]) == ("stored", 1)
    (item,) = live(bob)["items"]
    assert item["id"] == sent["id"] and item["seq"] == 1
    assert bodies(mail(login(node, "two"))["items"]) == [1]
    assert bob.ok("ACK", ids=[sent["id"]]) == {"accepted": 1}
    assert ann.next("EVENT")["data"]["ids"] == [sent["id"]]
    late = login(node, "two")
    assert late.ok("QUERY", what="unread") == {"unread": 0}
    assert not late.pushes


def test_a_mailbox_is_sent_in_pages_as_they_are_acknowledged(keep):
    node = keep("--mailbox-window", "10")
    ann = login(node, "one")
    for n in range(35):
        ann.ok("SEND", user="bob", body=n)
    bob = login(node, "two")
    heard = []
    page = mail(bob)
    assert len(page["items"]) == 10 and page["more"] is True
    bob.ok("ACK", ids=[item["id"] for item in page["items"][:2]])
    assert bob.ok("QUERY", what="unread") == {"unread": 33}
    assert not [m for m in bob.pushes if m["type"] == "PUSH"], "beyond the window"
    while True:
        heard += page["items"]
        bob.ok("ACK", ids=[item["id"] for item in page["items"]])
        if not page["more"]:
            break
        page = mail(bob)
        assert len(page["items"]) <= 10
    assert bodies(heard) == list(range(35))
    assert bob.ok("QUERY", what="unread") == {"unread": 0}


def test_what_comes_while_a_mailbox_is_emptied_comes_at_least_once(keep):
    node = keep("--mailbox-window", "4")
    ann = login(node, "one")
    for n in range(20):
        ann.ok("SEND", user="bob", body=n)
    bob = login(node, "two")
    page, seen = mail(bob), {}
    for n in range(20, 40):
        ann.ok("SEND", user="bob", body=n)
    while len(seen) < 40 or page:
        for item in page["items"] if page else ():
            assert seen.setdefault(item["id"], item["body"]) == item["body"]
            bob.ok("ACK", ids=[item["id"]])
        page = bob.next()["data"] if bob.ok("QUERY", what="unread")["unread"] else None
    assert sorted(seen.values()) == list(range(40))


def test_a_message_with_a_key_is_kept_once(keep):
    node = keep("--mailbox-limit-messages", "2")
    ann, bob = login(node, "one"), login(node, "two")
    first = ann.ok("SEND", user="bob", body="once", key="k1")
    again = ann.ok("SEND", user="bob", body="twice", key="k1")
    assert again["id"] == first["id"] and again["state"] == "stored"
    assert bob.ok("QUERY", what="unread") == {"unread": 1}
    assert {item["id"] for item in bob.next()["data"]["items"]} == {first["id"]}
    for push in bob.pushes:
        assert {item["id"] for item in push["data"]["items"]} == {first["id"]}
    bob.ok("ACK", ids=[first["id"]])
    assert ann.ok("SEND", user="bob", body="thrice", key="k1")["state"] == "delivered"
    ann.ok("SEND", user="bob", body="gone", key="k2")
    for n in range(2):
        ann.ok("SEND", user="bob", body=n)
    assert ann.ok("SEND", user="bob", body="gone", key="k2")["state"] == "dropped"
    assert ann.error("SEND", user="bob", body=1, key="") == "bad_request"
    assert ann.error("SEND", user="bob", body=1, key="x" * 129) == "bad_request"


def test_bounds_are_kept_and_counted(keep):
    node = keep("--mailbox-limit-messages", "5", "--print-counters", where="memory")
    ann = login(node, "one")
    for n in range(8):
        ann.ok("SEND", user="bob", body=n)
    assert bodies(mail(login(node, "two"))["items"]) == [3, 4, 5, 6, 7]
    counters = node.counters()
    assert counters["messages_appended_total"] == 8
    assert counters["messages_dropped_total"] == 3


def test_without_mailboxes_a_user_is_offline(serve, keep, tokens):
    node = keep("--mailbox-off")
    ann = login(node, "one")
    assert ann.ok("SEND", user="bob", body=1)["state"] == "offline"
    bob = login(node, "two")
    assert ann.ok("SEND", user="bob", body=1)["state"] == "accepted"
    assert bob.body() == 1
    assert bob.error("QUERY", what="unread") == "off"
    plain = login(serve("--gateway", "--auth-tokens", tokens), "one")
    assert plain.ok("SEND", user="bob", body=1)["state"] == "offline"
    assert plain.error("QUERY", what="history", user="bob") == "off"


def test_nobody_in_particular_may_send_and_has_no_mailbox(keep):
    node = keep("--gateway-open")
    nobody = Client(node)
    assert nobody.ok("SEND", user="bob", body="who am I")["state"] == "stored"
    assert nobody.ok("ACK", ids=["x"]) == {"accepted": 1}
    assert nobody.error("QUERY", what="unread") == "off"
    assert nobody.error("QUERY", what="history", user="bob") == "forbidden"
    (item,) = mail(login(node, "two"))["items"]
    assert "from" not in item


# ---- histories ----


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_a_room_has_a_history_for_its_members(keep, encoding):
    node = keep()
    ann, bob = login(node, "one", encoding), login(node, "two")
    ann.ok("JOIN", room="r")
    ids = [ann.ok("SEND", room="r", body={"n": n})["id"] for n in range(7)]
    assert bob.error("QUERY", what="history", room="r") == "not_member"
    latest = ann.ok("QUERY", what="history", room="r", max=3)
    assert latest["room"] == "r" and latest["more"] is True
    assert [item["id"] for item in latest["items"]] == ids[4:]
    assert "to" not in latest["items"][0]
    before = ann.ok("QUERY", what="history", room="r", before=ids[4], max=10)
    assert [item["body"]["n"] for item in before["items"]] == [0, 1, 2, 3]
    assert before["more"] is False
    after = ann.ok("QUERY", what="history", room="r", after=ids[0], max=2)
    assert [item["id"] for item in after["items"]] == ids[1:3]
    assert after["more"] is True
    for bad in (
        {"before": ids[0], "after": ids[0]},
        {"before": "12"},
        {"after": 7},
        {"max": 0},
        {"max": 101},
    ):
        assert ann.error("QUERY", what="history", room="r", **bad) == "bad_request"
    assert ann.error("QUERY", what="history") == "bad_request"


def test_a_conversation_has_both_directions_for_both(keep):
    node = keep("--history", "users")
    ann, bob, cid = (login(node, token) for token in ("one", "two", "three"))
    ann.ok("SEND", user="bob", body=1)
    bob.ok("SEND", user="ann", body=2)
    ann.ok("SEND", user="cid", body=3)
    ann.ok("SEND", user="bob", body=4)
    for one, other in ((ann, "bob"), (bob, "ann")):
        page = one.ok("QUERY", what="history", user=other)
        assert bodies(page["items"]) == [1, 2, 4]
        assert [item["from"] for item in page["items"]] == ["ann", "bob", "ann"]
    assert bodies(cid.ok("QUERY", what="history", user="ann")["items"]) == [3]
    assert cid.ok("QUERY", what="history", user="bob")["items"] == []
    ann.ok("JOIN", room="r")
    assert ann.error("QUERY", what="history", room="r") == "off"


def test_a_history_is_bounded(keep):
    node = keep("--history-limit-messages", "3")
    ann = login(node, "one")
    ann.ok("JOIN", room="r")
    for n in range(5):
        ann.ok("SEND", room="r", body=n)
    assert bodies(ann.ok("QUERY", what="history", room="r")["items"]) == [2, 3, 4]


# ---- the push API ----


def test_the_push_api_keeps_messages_for_who_is_away(keep):
    node = keep(*api_flags())
    api = Api(node)

    def push(to, item, **more):
        return api.post("/v1/push", json={"to": to, "items": [item], **more})

    told = push({"users": ["bob"]}, "kept", ttl_s=60, op=7, **{"from": "ann"})
    assert told.status_code == 202, told.text
    assert push({"users": ["bob"]}, "lost").status_code == 202
    assert push({"rooms": ["r"]}, "said", op=9).status_code == 202
    assert push({"rooms": ["r"]}, "said", ttl_s=60).status_code == 400
    (item,) = mail(login(node, "two"))["items"]
    assert (item["body"], item["op"], item["from"]) == ("kept", 7, "ann")
    assert item["id"] == told.json()["id"]
    ann = login(node, "one")
    ann.ok("JOIN", room="r")
    (item,) = ann.ok("QUERY", what="history", room="r")["items"]
    assert (item["body"], item["op"]) == ("said", 9)


# ---- kill -9 ----

KILLS = 3 if SANITIZED else 10
SENDERS = 4


class Sender(threading.Thread):
    """Sends until the node is gone, and keeps what was answered."""

    def __init__(self, node, token, offset):
        super().__init__(daemon=True)
        self.client = login(node, token)
        self.offset = offset
        self.answered = {}
        self.count = threading.Semaphore(0)

    def run(self):
        with contextlib.suppress(OSError, ConnectionError, EOFError, AssertionError):
            for n in range(self.offset, self.offset + 100000):
                answer = self.client.ask("SEND", user="bob", body=n, key=str(n))
                if answer["type"] != "OK":
                    return
                self.answered[n] = answer["data"]["id"]
                self.count.release()


def empty(node):
    """All that is in bob's mailbox, by ID, each page acknowledged."""
    bob, heard = login(node, "two"), []
    while bob.ok("QUERY", what="unread")["unread"]:
        page = mail(bob)
        heard += page["items"]
        bob.ok("ACK", ids=[item["id"] for item in page["items"]])
    bob.ws.close()
    return heard


def test_what_was_answered_survives_kill_9(tokens, tmp_path):
    flags = ("--gateway", "--auth-tokens", tokens, "--mailbox-limit-messages", "100000")
    flags += ("--messages", f"sqlite:{tmp_path}/messages.db")
    total = 0
    for turn in range(KILLS):
        node = Node(*flags)
        senders = [
            Sender(node, token, (turn * SENDERS + i) * 100000)
            for i, token in enumerate(("one", "three", "one", "three"))
        ]
        bob = login(node, "two")  # hears live, and acknowledges nothing
        for sender in senders:
            sender.start()
        for sender in senders:
            assert sender.count.acquire(timeout=60)
        for _ in range(10 * turn):
            assert senders[0].count.acquire(timeout=60)
        node.signal(signal.SIGKILL)
        node.wait()
        for sender in senders:
            sender.join(60)
        node = Node(*flags)
        heard = empty(node)
        by_body = {item["body"]: item["id"] for item in heard}
        assert len(by_body) == len(heard), "a message under two IDs"
        for sender in senders:
            for body, known in sender.answered.items():
                assert by_body.get(body) == known, (body, known)
            # Sent again with its key, one that had an answer is not another message.
            body, known = next(iter(sender.answered.items()))
        again = login(node, "three").ok("SEND", user="bob", body=body, key=str(body))
        assert (again["id"], again["state"]) == (known, "delivered")
        total += len(by_body)
        node.process.kill()
        node.wait()
        bob.ws.close()
    with contextlib.closing(sqlite3.connect(f"{tmp_path}/messages.db")) as file:
        assert file.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert total > 0


# ---- two nodes ----


@pytest.fixture
def pair(serve, broker, tokens, tmp_path):
    """pair(*flags) starts two nodes on one broker, each with a file of its own."""

    def start(*flags):
        shared = ("--gateway", "--auth-tokens", tokens, "--pubsub", broker.url, *flags)
        nodes = [
            serve(*shared, "--messages", f"sqlite:{tmp_path}/{name}.db") for name in ("a", "b")
        ]
        probes = [login(node, "three") for node in nodes]

        def hear_each_other():
            """Each node's history has what was said on the other."""
            for probe in probes:
                probe.ok("SEND", user="probe", body="?")
            said = [probe.ok("QUERY", what="history", user="probe", max=100) for probe in probes]
            there = [{item["id"] for item in page["items"]} for page in said]
            return there[0] & there[1] and len(there[0] & there[1]) > 1

        eventually(hear_each_other, what="the nodes to hear each other")
        for probe in probes:
            probe.ws.close()
        return nodes

    return start


def take(client, count, seen=None):
    """Acknowledges what comes, until there were so many."""
    seen = {} if seen is None else seen
    while len(seen) < count:
        for item in client.next()["data"]["items"]:
            # It may come twice: live, and from the mailbox of another node.
            assert seen.setdefault(item["id"], item)["body"] == item["body"]
            client.send("ACK", id="taken", ids=[item["id"]])
    return seen


def test_what_waits_on_another_node_comes_at_login(pair):
    one, other = pair("--mailbox-window", "10")
    ann = login(one, "one")
    for n in range(35):
        assert ann.ok("SEND", user="bob", body=n)["state"] == "stored"
    bob = login(other, "two")
    seen = take(bob, 35)
    assert bodies(seen.values()) == list(range(35))
    assert {item["from"] for item in seen.values()} == {"ann"}
    told = set()
    while len(told) < 35:
        told |= set(ann.next("EVENT")["data"]["ids"])
    assert told == set(seen)
    assert login(one, "two").ok("QUERY", what="unread") == {"unread": 0}


def test_what_is_heard_on_another_node_is_acknowledged_there(pair):
    one, other = pair()
    ann, bob = login(one, "one"), login(other, "two")

    def heard():
        ann.ok("SEND", user="bob", body="?")
        return bob.ok("QUERY", what="rooms") and [m for m in bob.pushes if m["type"] == "PUSH"]

    eventually(heard, what="bob's node to hear of him")
    sent = ann.ok("SEND", user="bob", body="!")
    seen = {}
    while sent["id"] not in seen:
        take(bob, len(seen) + 1, seen)
    told = set()
    while sent["id"] not in told:
        told |= set(ann.next("EVENT")["data"]["ids"])


def test_histories_are_the_same_on_every_node(pair):
    one, other = pair()
    ann, bob = login(one, "one"), login(other, "two")
    for client in (ann, bob):
        client.ok("JOIN", room="r")
    sent = []
    for n in range(10):
        sender, peer = ((ann, "bob"), (bob, "ann"))[n % 2]
        sent.append(sender.ok("SEND", user=peer, body=n)["id"])
        sender.ok("SEND", room="r", body=n)
    for client, question in ((ann, {"user": "bob"}), (bob, {"user": "ann"})):
        for asked in (question, {"room": "r"}):
            # What the other node's clients said comes a moment later.

            def is_whole(client=client, asked=asked):
                page = client.ok("QUERY", what="history", **asked)
                return sorted(bodies(page["items"])) == list(range(10))

            eventually(is_whole, what=f"the history {asked}")
    items = ann.ok("QUERY", what="history", user="bob")["items"]
    assert items == bob.ok("QUERY", what="history", user="ann")["items"]
    assert [item["id"] for item in items] == sorted(sent)


def test_a_node_that_was_away_has_what_it_had(pair, tokens, broker, tmp_path, serve):
    one, other = pair()
    ann = login(one, "one")
    sent = ann.ok("SEND", user="bob", body="before")
    one.signal(signal.SIGKILL)
    one.wait()
    one.stop = lambda: None
    bob = login(other, "two")
    assert bob.ok("QUERY", what="unread") == {"unread": 0}
    serve(
        *("--gateway", "--auth-tokens", tokens, "--pubsub", broker.url),
        *("--messages", f"sqlite:{tmp_path}/a.db"),
    )

    def asked():
        bob.ok("QUERY", what="mailbox")
        return bob.ok("QUERY", what="rooms") and [m for m in bob.pushes if m["type"] == "PUSH"]

    eventually(asked, what="what waits on the node that came back")
    assert list(take(bob, 1)) == [sent["id"]]


# ---- faults ----


def test_a_store_that_fails_is_told_to_the_sender(keep, tmp_path):
    node = keep("--messages-busy-ms", "1", "--print-counters")
    ann = login(node, "one")
    ann.ok("JOIN", room="r")
    ann.ok("SEND", user="bob", body=1)
    with contextlib.closing(sqlite3.connect(f"{tmp_path}/messages.db")) as other:
        other.execute("BEGIN IMMEDIATE")
        assert ann.error("SEND", user="bob", body=2) == "not_stored"
        assert ann.error("SEND", room="r", body=2) == "not_stored"
        bob = login(node, "two")
        assert bodies(mail(bob)["items"]) == [1]
        other.rollback()
    assert ann.ok("SEND", user="bob", body=3)["state"] == "stored"
    assert not [m for m in ann.pushes if m["type"] == "PUSH"], "not stored, but sent"
    eventually(lambda: "--messages-busy-ms" in node.stderr(), what="the option in the log")
    assert node.counters()["messages_busy_total"] >= 2


def test_where_there_are_accounts_only_they_are_users(serve):
    cheap = ("--account-hash-passes", "1", "--account-hash-kib", "8192")
    node = serve("--gateway", "--accounts", "memory", *cheap, "--messages", "memory")

    def register(name):
        answer = node.request(
            "POST", "/v1/accounts/register", json={"name": name, "password": "correct horse"}
        )
        return answer.json()["token"]

    ann = login(node, register("ann"))
    assert ann.error("SEND", user="bob", body=1) == "no_such_user"
    bob = register("bob")
    assert ann.ok("SEND", user="bob", body=2)["state"] == "stored"
    assert ann.error("SEND", user="Bob", body=3) == "no_such_user"
    assert bodies(mail(login(node, bob))["items"]) == [2]


def test_bad_flags_are_refused(tmp_path, tokens):
    def fault(*flags):
        command = [KUJATA, "serve", "--model", MODEL, "--listen", "127.0.0.1:0", *flags]
        done = subprocess.run(command, capture_output=True, text=True, timeout=30)
        return done.returncode, done.stderr

    for code, flags in (
        (2, ("--gateway", "--gateway-open", "--messages", "disk")),
        (2, ("--messages", "memory")),
        (1, ("--gateway", "--gateway-open", "--messages", f"sqlite:{tmp_path}/no/such.db")),
    ):
        returned, text = fault(*flags)
        assert returned == code and "--messages" in text, text
