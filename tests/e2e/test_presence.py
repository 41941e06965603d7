"""Who is there, over all nodes; how large rooms hear of it; clients that send too much."""

import json
import signal
import time

import msgpack
import pytest

from deadline import eventually
from native import Client, bearer
from programs import Broker, Node
from rawnats import RawNats
from rawws import TEXT

OPEN = ("--gateway", "--gateway-open")
FAST = ("--presence-interval-ms", "300")


@pytest.fixture
def tokens(tmp_path):
    path = tmp_path / "tokens"
    path.write_text("one sub=ann\ntwo sub=bob\nthree sub=eve\n")
    return str(path)


@pytest.fixture
def doomed():
    """doomed(*flags) starts a node that may be killed."""
    nodes = []

    def start(*flags):
        nodes.append(Node(*flags))
        return nodes[-1]

    yield start
    for node in nodes:
        if node.process.poll() is None:
            node.process.kill()
        node.wait()


def kill(node):
    node.signal(signal.SIGKILL)
    node.wait()


def online(client):
    return client.ok("QUERY", what="online")


def wait_for_nodes(clients, count, seconds=20.0):
    for client in clients:
        eventually(
            lambda: online(client)["nodes"] == count, seconds, f"a cluster of {count} nodes"
        )


def test_queries_are_answered_for_all_nodes(serve, broker, tokens):
    flags = ("--gateway", "--auth-tokens", tokens, "--pubsub", broker.url, *FAST)
    nodes = [serve(*flags) for _ in range(2)]
    ann, bob = Client(nodes[0], headers=bearer("one")), Client(nodes[1], headers=bearer("two"))
    also = Client(nodes[1], headers=bearer("two"))
    clients = [ann, bob, also]
    wait_for_nodes(clients, 2)
    for client in clients:
        client.ok("JOIN", room="live://1")
    bob.ok("JOIN", room="live://2")

    def is_told():
        totals = online(ann)
        return totals["clients"] == 3 and totals["users"] == 2 and totals["rooms"] == 2

    eventually(is_told, what="the sums of both nodes")
    for client in clients:
        eventually(
            lambda: client.ok("QUERY", what="rooms")["counts"][0] == 3, what="the count of a room"
        )
        room = client.ok("QUERY", what="room", room="live://1")
        assert room["count"] == 3 and room["complete"] is True
        assert [member["user"] for member in room["members"]].count("bob") == 2
        pages = [
            client.ok("QUERY", what="room", room="live://1", skip=skip, max=1) for skip in range(4)
        ]
        assert [page["members"] for page in pages] == [
            *([member] for member in room["members"]),
            [],
        ]
        answer = client.ok("QUERY", what="users", users=["eve", "bob", "ann", "nobody"])
        assert answer == {"online": ["bob", "ann"], "complete": True}
    assert ann.ask("QUERY", what="users", users=[""])["type"] == "ERROR"
    assert ann.error("QUERY", what="users", users=["u"] * 101) == "bad_request"
    assert ann.error("QUERY", what="users") == "bad_request"
    assert ann.error("QUERY", what="room", room="elsewhere") == "not_member"
    # Nobody but who asked hears of it.
    assert also.ask("PING")["type"] == "PONG"
    assert {message["type"] for message in bob.pushes + also.pushes} <= {"EVENT", "PUSH"}


def test_without_a_broker_or_presence_it_is_this_node(serve, broker):
    alone = serve(*OPEN)
    with_board = serve(*OPEN, "--presence", "on", "--print-counters")
    silent = [serve(*OPEN, "--pubsub", broker.url, "--presence", "off") for _ in range(2)]
    for node in [alone, with_board, silent[0]]:
        clients = [Client(node), Client(node)]
        for client in clients:
            client.ok("JOIN", room="r")
        totals = online(clients[0])
        assert totals["nodes"] == 1 and totals["clients"] == 2
        room = clients[0].ok("QUERY", what="room", room="r")
        assert room["count"] == len(room["members"]) == 2 and room["complete"] is True
        assert clients[0].ok("QUERY", what="rooms") == {"rooms": ["r"], "counts": [2]}
        for client in clients:
            client.ws.close()
    counters = with_board.counters()
    assert counters["presence_nodes_current"] == 1
    assert counters["presence_reports_sent_total"] >= 1
    assert counters["presence_refused_total"] == 0


def test_a_goodbye_ends_a_node_at_once_and_a_kill_after_three_reports(serve, doomed, broker):
    flags = (*OPEN, "--pubsub", broker.url)
    stays = serve(*flags, "--presence-interval-ms", "500", "--print-counters")
    goes = doomed(*flags, "--presence-interval-ms", "60000")
    killed = doomed(*flags, "--presence-interval-ms", "500")
    here = Client(stays)
    there = [Client(node) for node in (goes, killed)]
    for client in [here, *there]:
        client.ok("JOIN", room="r")
    wait_for_nodes([here], 3)
    goes.signal()
    goes.wait()
    wait_for_nodes([here], 2)
    eventually(lambda: online(here)["clients"] == 2, what="the client of the third node")
    kill(killed)
    start = time.monotonic()
    wait_for_nodes([here], 1)
    assert time.monotonic() - start < 3 * 0.5 + 5, "three reports, on a busy machine"
    assert online(here) == {"nodes": 1, "clients": 1, "users": 0, "rooms": 1}
    assert here.ok("QUERY", what="room", room="r")["count"] == 1
    assert stays.counters()["presence_nodes_lost_total"] == 1


def test_a_killed_node_is_gone_within_15_s_by_default(serve, doomed, broker):
    flags = (*OPEN, "--pubsub", broker.url)
    stays, killed = serve(*flags), doomed(*flags)
    here, there = Client(stays), Client(killed)
    there.ok("JOIN", room="r")
    wait_for_nodes([here], 2)
    kill(killed)
    start = time.monotonic()
    wait_for_nodes([here], 1, seconds=30)
    assert time.monotonic() - start < 15.5


def test_figures_come_back_with_the_broker(serve, broker):
    nodes = [serve(*OPEN, *FAST, "--pubsub", broker.url) for _ in range(2)]
    clients = [Client(node) for node in nodes]
    wait_for_nodes(clients, 2)
    broker.stop()
    wait_for_nodes(clients, 1)
    for client in clients:
        client.ok("JOIN", room="meanwhile")
    again = Broker(port=broker.port)
    try:
        wait_for_nodes(clients, 2)
        for client in clients:
            eventually(
                lambda: client.ok("QUERY", what="rooms")["counts"] == [2], what="both members"
            )
            eventually(
                lambda: client.ok("QUERY", what="room", room="meanwhile")["count"] == 2,
                what="both members, asked for",
            )
    finally:
        again.stop()


def report(**changes):
    value = {
        "version": 1,
        "kind": "report",
        "node": 0xABCDEF,
        "sequence": 1,
        "interval_ms": 60000,
        "clients": 5,
        "users": 4,
        "whole": True,
        "begins": True,
        "ends": True,
        "rooms": ["elsewhere", 5],
    }
    value.update(changes)
    data = msgpack.packb({name: member for name, member in value.items() if member is not None})
    return msgpack.packb(
        {
            "data": data,
            "encoding": "application/msgpack",
            "topic": "gateway.presence.report",
            "partition": 0,
            "responseMode": 0,
            "trackingData": {},
            "trackingName": "",
        }
    )


def test_foreign_and_hostile_reports_are_refused_and_counted(serve, broker):
    node = serve(
        *OPEN,
        *("--pubsub", broker.url, "--print-counters"),
        *("--presence-nodes", "1", "--presence-rooms", "10", "--presence-timeout-ms", "200"),
    )
    client = Client(node)
    foreign = RawNats(broker.port, "gateway.presence.>")
    bad = [
        b"",
        b"\xc1",
        msgpack.packb({"data": b"\xc1", "encoding": "application/msgpack", "topic": "t"}),
        report(version=2),
        report(node=0),
        report(node=1 << 24),
        report(sequence=0),
        report(interval_ms=1),
        report(interval_ms=1 << 31),
        report(clients=-1),
        report(users=1 << 40),
        report(rooms=["odd"]),
        report(rooms=["", 1]),
        report(rooms=["x" * 129, 1]),
        report(rooms=["x", -1]),
        report(rooms=["r", 1] * 1001),
        report(rooms=None),
        report(kind="surprise"),
    ]
    for payload in bad:
        foreign.publish("gateway.presence.report", payload)
    foreign.publish("gateway.presence.report", report())
    eventually(lambda: online(client)["nodes"] == 2, what="a report as it should be")
    assert online(client)["clients"] == 6
    foreign.publish("gateway.presence.report", report())  # comes again
    foreign.publish("gateway.presence.report", report(node=1))  # one too many
    many = [item for number in range(30) for item in (f"r{number}", 1)]
    foreign.publish("gateway.presence.report", report(sequence=3, rooms=many))
    eventually(lambda: online(client)["rooms"] == 10, what="as many rooms as are kept")
    # It does not answer: what is known is told, and that it is not all.
    client.ok("JOIN", room="r")
    room = client.ok("QUERY", what="room", room="r")
    assert room["complete"] is False and len(room["members"]) == 1
    foreign.publish("gateway.presence.report", report(kind="goodbye"))
    wait_for_nodes([client], 1)
    assert online(client)["clients"] == 1
    foreign.close()
    counters = node.counters()
    unreadable = 3  # are refused by the backend, or by presence
    assert counters["presence_refused_total"] >= len(bad) - unreadable + 1
    assert counters["presence_nodes_over_limit_total"] == 1
    assert counters["presence_rooms_over_limit_total"] == 20
    assert counters["presence_reports_missed_total"] == 1
    assert counters["presence_questions_unanswered_total"] >= 1
    assert counters["presence_rooms_current"] == 0


def test_clusters_of_another_topic_are_apart(serve, broker):
    ours = serve(*OPEN, *FAST, "--pubsub", broker.url, "--gateway-topic", "ours")
    theirs = serve(*OPEN, *FAST, "--pubsub", broker.url, "--gateway-topic", "theirs")
    spy = RawNats(broker.port, "*.presence.report")
    awaited = {"ours.presence.report", "theirs.presence.report"}
    while awaited:
        awaited.discard(spy.message()[0])
    for node in (ours, theirs):
        assert online(Client(node))["nodes"] == 1
    spy.close()


# ---- large rooms ----


def events(client, room):
    """The events of a room that came so far."""
    assert client.ask("PING")["type"] == "PONG"
    heard = [message["data"] for message in client.pushes if message["type"] == "EVENT"]
    client.pushes = []
    return [event for event in heard if event["room"] == room]


def test_a_large_room_hears_how_many_came_and_went(serve):
    node = serve(
        *OPEN, "--gateway-told", "3", "--gateway-summary-ms", "200", "--print-counters"
    )
    clients = [Client(node) for _ in range(13)]
    for client in clients[:3]:
        client.ok("JOIN", room="r")
    told = []
    eventually(lambda: told.extend(events(clients[0], "r")) or len(told) == 3, what="who came")
    assert [event["kind"] for event in told] == ["join"] * 3
    for client in clients[3:]:
        client.ok("JOIN", room="r")
    for client in clients[10:]:
        client.ok("LEAVE", room="r")
    told.clear()

    def is_told():
        told.extend(events(clients[0], "r"))
        return sum(event["joined"] for event in told) == 10 and told[-1]["count"] == 10

    eventually(is_told, what="how many came and went")
    assert sum(event["left"] for event in told) == 3
    assert {event["kind"] for event in told} == {"count"}
    assert all(event["node"] == clients[0].welcome["data"]["node"] for event in told)
    assert node.counters()["native_summaries_total"] == len(told)


def test_summaries_come_at_most_so_often_and_count_all_nodes(serve, broker):
    flags = (*OPEN, *FAST, "--pubsub", broker.url, "--gateway-told", "1")
    nodes = [serve(*flags, "--gateway-summary-ms", "300") for _ in range(2)]
    listener, other = Client(nodes[0]), Client(nodes[1], "msgpack")
    wait_for_nodes([listener, other], 2)
    for client in (listener, other):
        client.ok("JOIN", room="r")
    guests = [Client(node) for node in nodes for _ in range(5)]
    start = time.monotonic()
    for turn in range(20):
        for guest in guests:
            guest.ok("JOIN" if turn % 2 == 0 else "LEAVE", room="r")
    told = []

    def is_settled():
        told.extend(event for event in events(listener, "r") if event["kind"] == "count")
        return bool(told) and told[-1]["count"] == 3

    guests[0].ok("JOIN", room="r")
    eventually(is_settled, what="a last summary")
    windows = (time.monotonic() - start) / 0.3 + 1
    assert len(told) <= 2 * windows, "each node tells at most once in its time"
    assert {event["node"] for event in told} <= {
        client.welcome["data"]["node"] for client in (listener, other)
    }


def test_the_last_summary_counts_those_of_a_report_that_came_later(serve, broker):
    flags = (*OPEN, "--pubsub", broker.url, "--gateway-told", "1", "--gateway-summary-ms", "50")
    nodes = [serve(*flags, "--presence-interval-ms", "2000") for _ in range(2)]
    clients = [[Client(node) for _ in range(4)] for node in nodes]
    wait_for_nodes([clients[0][0], clients[1][0]], 2)
    # Both tell before either hears of the other's, and nobody comes or goes after that.
    for client in [*clients[0], *clients[1]]:
        client.ok("JOIN", room="r")
    for listener in (clients[0][0], clients[1][0]):
        told = []

        def is_right():
            told.extend(event for event in events(listener, "r") if event["kind"] == "count")
            return bool(told) and told[-1]["count"] == 8

        eventually(is_right, what="the count of both nodes")


# ---- clients that send too much ----


def test_who_sends_too_fast_is_told_and_then_closed(serve):
    node = serve(
        *(*OPEN, "--print-counters", "--gateway-limit-rate", "1"),
        *("--gateway-limit-burst", "10", "--gateway-limit-excess", "20"),
    )
    polite, rude = Client(node), Client(node)
    for number in range(40):
        rude.send("PING", id=number)
    answers = [rude.hear() for _ in range(31)]
    codes = [answer["data"]["code"] for answer in answers[:30] if answer["type"] == "ERROR"]
    assert codes == ["rate"] * len(codes)
    assert len(codes) in range(18, 21)
    assert [answer["id"] for answer in answers[:30]] == list(range(30))
    last = answers[30]
    while last != 1008:
        assert last["type"] in ("PONG", "ERROR")
        last = rude.hear()
    for _ in range(8):
        assert polite.ask("PING")["type"] == "PONG"
    counters = node.counters()
    assert counters["gateway_messages_too_fast_total"] == 20
    assert counters["gateway_clients_too_fast_total"] == 1


def test_without_the_flag_there_is_no_rate(serve):
    node = serve(*OPEN, "--print-counters")
    client = Client(node)
    for number in range(2000):
        client.ws.send(TEXT, json.dumps({"type": "PING", "id": number}).encode())
    for number in range(2000):
        assert client.hear() == {"type": "PONG", "id": number}
    assert node.counters()["gateway_messages_too_fast_total"] == 0
