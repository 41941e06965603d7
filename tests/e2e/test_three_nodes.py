"""Three nodes and a broker, each a process: what holds while clients, nodes and the broker come
and go."""

import json
import signal
import socket
import struct
import threading

import pytest

from deadline import eventually
from native import Client, bearer, join_across
from programs import Broker, Node
from rawws import CLOSE, TEXT, RawWebSocket

OPEN = ("--gateway", "--gateway-open", "--gateway-quiet")
FAST = ("--presence-interval-ms", "300")


@pytest.fixture
def tokens(tmp_path):
    path = tmp_path / "tokens"
    path.write_text("one sub=ann\ntwo sub=bob\nthree sub=eve\n")
    return str(path)


def session_of(client):
    return client.welcome["data"]["session"]


def nodes_known(client):
    return client.ok("QUERY", what="online")["nodes"]


def wait_for_nodes(clients, count):
    for client in clients:
        eventually(lambda: nodes_known(client) == count, what=f"a cluster of {count} nodes")


def test_a_room_is_on_all_nodes_and_a_user_wherever_he_is(serve, broker, tokens):
    flags = ("--gateway", "--gateway-quiet", "--auth-tokens", tokens, "--pubsub", broker.url, *FAST)
    nodes = [serve(*flags) for _ in range(3)]
    ann, bob, eve = (
        Client(node, headers=bearer(token)) for node, token in zip(nodes, ("one", "two", "three"))
    )
    clients = [ann, bob, eve]
    wait_for_nodes(clients, 3)
    join_across(clients, "r")
    for speaker in clients:
        answer = speaker.ok("SEND", room="r", body=session_of(speaker))
        for client in clients:
            (item,) = client.next()["data"]["items"]
            assert (item["id"], item["body"]) == (answer["id"], session_of(speaker))
        for name, user in (("ann", ann), ("bob", bob), ("eve", eve)):
            speaker.ok("SEND", user=name, body="to " + name)
            assert user.body() == "to " + name
            found = speaker.ok("QUERY", what="users", users=[name, "nobody"])
            assert found == {"online": [name], "complete": True}
    # He moves, and is found there; a directory could be wrong about it.
    for node in (nodes[0], nodes[2]):
        bob.ws.close()
        bob = Client(node, headers=bearer("two"))

        def is_reached(bob=bob):
            eve.ok("SEND", user="bob", body="here?")
            return bob.ws.has_data(0.2)

        eventually(is_reached, what="the user at his new node")
        assert ann.ok("QUERY", what="users", users=["bob"])["online"] == ["bob"]


def test_a_killed_node_takes_nothing_with_it(serve, broker):
    flags = (*OPEN, *FAST, "--pubsub", broker.url)
    stay = [serve(*flags) for _ in range(2)]
    killed = Node(*flags)
    try:
        clients = [Client(node) for node in (*stay, killed)]
        wait_for_nodes(clients, 3)
        join_across(clients, "r")
        killed.signal(signal.SIGKILL)
        killed.wait()
        for number in range(100):
            clients[number % 2].ok("SEND", room="r", body=number)
        for client in clients[:2]:
            numbers = [client.body() for _ in range(100)]
            for first in (0, 1):  # of each sender
                assert [n for n in numbers if n % 2 == first] == list(range(first, 100, 2))
        wait_for_nodes(clients[:2], 2)
        for client in clients[:2]:
            totals = client.ok("QUERY", what="online")
            assert (totals["clients"], totals["rooms"]) == (2, 1)
            room = client.ok("QUERY", what="room", room="r")
            assert room["count"] == 2 and room["complete"] is True
    finally:
        if killed.process.poll() is None:
            killed.process.kill()
            killed.wait()


class Flood(threading.Thread):
    """Sends numbered messages without end, and counts them."""

    def __init__(self, node, room):
        super().__init__(daemon=True)
        self.client = Client(node)
        self.room = room
        self.client.ok("JOIN", room=room)
        self.sent, self.degraded, self.refused, self.failure = 0, 0, 0, None
        self.is_over = threading.Event()

    def run(self):
        try:
            while not self.is_over.is_set():
                answer = self.client.ask("SEND", room=self.room, body={"number": self.sent})
                self.client.pushes.clear()
                if answer["type"] == "OK":
                    self.sent += 1
                    self.degraded += answer["data"].get("degraded", False)
                else:  # the queue was full before the node knew that the broker is away
                    assert answer["data"]["code"] == "busy", answer
                    self.refused += 1
        except Exception as failure:  # told by finish()
            self.failure = failure

    def finish(self):
        self.is_over.set()
        self.join(60)
        assert not self.failure, self.failure
        self.client.ok("SEND", room=self.room, body={"last": True, "number": self.sent})
        self.sent += 1


class Listener(threading.Thread):
    """Reads a room until each of the publishers has said his last word."""

    def __init__(self, node, room, publishers):
        super().__init__(daemon=True)
        self.client = Client(node)
        self.client.ok("JOIN", room=room)
        self.left = publishers
        self.heard = {}
        self.numbers = {}
        self.failure = None

    def run(self):
        try:
            while self.left:
                for item in self.client.next()["data"]["items"]:
                    who = item["session"]
                    self.numbers.setdefault(who, []).append(item["seq"])
                    self.heard.setdefault(who, []).append(item["body"]["number"])
                    self.left -= "last" in item["body"]
        except Exception as failure:  # told by finish()
            self.failure = failure

    def hears_on(self, flood):
        """Waits for what is said from now on."""
        start, who = flood.sent, session_of(flood.client)
        eventually(
            lambda: who in self.heard and self.heard[who][-1] >= start, 60, "hearing across the broker"
        )

    def finish(self):
        self.join(60)
        assert not self.failure, self.failure
        assert self.left == 0


def test_the_broker_restarts_under_load_and_what_is_lost_is_counted(serve, broker):
    """While it is away, clients of a node hear each other, and others what its queue can hold."""
    flags = (*OPEN, *FAST, "--pubsub", broker.url, "--print-counters")
    nodes = [serve(*flags, "--nats-queue-messages", "300") for _ in range(3)]
    clients = [Client(node) for node in nodes]
    join_across(clients, "r")
    floods = [Flood(node, "r") for node in nodes[:2]]
    listeners = [Listener(node, "r", len(floods)) for node in nodes]
    for thread in [*listeners, *floods]:
        thread.start()
    for flood in floods:
        eventually(lambda: flood.sent >= 200, what="a flood")
        for listener in listeners:
            listener.hears_on(flood)
    broker.stop()
    for flood in floods:
        eventually(lambda: flood.degraded >= 600, 60, "more than a queue can hold")
    again = Broker(port=broker.port)
    try:
        for listener in listeners:
            for flood in floods:
                listener.hears_on(flood)
        for flood in floods:
            flood.finish()
        for listener in listeners:
            listener.finish()
        # Nobody was closed, and what there was before goes on.
        for client in clients:
            client.pushes.clear()
            assert client.ask("PING")["type"] == "PONG"
        wait_for_nodes(clients, 3)
        missed = {}
        for node, listener in zip(nodes, listeners):
            for home, flood in zip(nodes, floods):
                heard = listener.heard[session_of(flood.client)]
                assert len(set(heard)) == len(heard), "each once"
                assert set(heard) <= set(range(flood.sent))
                if home is not node:
                    assert heard == sorted(heard), "in order"
                    missed[node, home] = flood.sent - len(heard)
                    numbers = listener.numbers[session_of(flood.client)]
                    assert numbers[-1] - numbers[0] + 1 - len(numbers) == missed[node, home]
        counters = [node.counters() for node in nodes]
        for node, counted in zip(nodes, counters):
            lost = sum(count for (here, _), count in missed.items() if here is node)
            assert counted["gateway_missed_total"] == lost
        for home, flood, counted in zip(nodes, floods, counters):
            assert counted["gateway_degraded_total"] == flood.degraded
            unsent = counted["gateway_publish_failed_total"] - flood.refused
            assert unsent > 0, "the queue was full"
            assert all(count >= unsent for (_, there), count in missed.items() if there is home)
    finally:
        for flood in floods:
            flood.is_over.set()
        again.stop()


# ---- counts ----

CYCLES = 10000
LINGER = struct.pack("ii", 1, 0)


def come_and_go(port, turns, failures):
    """Clients that come, join, and go in one of four ways."""
    try:
        for turn in range(turns):
            client = RawWebSocket(port, "/connect", seconds=120)
            client.message()
            client.send(TEXT, json.dumps({"type": "JOIN", "data": {"room": f"r{turn % 7}"}}).encode())
            if turn % 2:
                client.message()
            if turn % 4 == 0:
                client.send(CLOSE, struct.pack(">H", 1000))
            elif turn % 4 == 1:
                client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER)
            client.socket.close()
    except Exception as failure:
        failures.append(failure)


def test_counts_do_not_drift_over_10000_clients(serve, broker):
    flags = (*OPEN, "--pubsub", broker.url, "--print-counters", "--gateway-linger-ms", "50")
    # Those that stay say nothing for as long as it takes, and no node is slow enough to be lost.
    flags += ("--gateway-limit-idle-ms", "600000", "--presence-interval-ms", "2000")
    nodes = [serve(*flags) for _ in range(3)]
    clients = [Client(node) for node in nodes]
    for client in clients:
        client.ok("JOIN", room="stays")
    wait_for_nodes(clients, 3)
    failures = []
    threads = [
        threading.Thread(target=come_and_go, args=(nodes[i % 3].port, CYCLES // 6 + 1, failures))
        for i in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures, failures
    for client in clients:
        eventually(
            lambda: client.ok("QUERY", what="online")
            == {"nodes": 3, "clients": 3, "users": 0, "rooms": 1},
            60,
            "figures as before",
        )
        assert client.ok("QUERY", what="rooms") == {"rooms": ["stays"], "counts": [3]}
        assert client.ok("QUERY", what="room", room="stays")["count"] == 3
    for client in clients:
        client.ws.close()
    sums = {}
    for node in nodes:
        for name, value in node.counters().items():
            sums[name] = sums.get(name, 0) + value
    assert sums["gateway_clients_total"] >= CYCLES
    assert sums["gateway_clients_current"] == 0
    assert sums["presence_refused_total"] == 0
    assert sums["presence_nodes_lost_total"] == 0


# ---- order ----


@pytest.mark.parametrize("batch", [(), ("--gateway-batch-ms", "50")], ids=["single", "batched"])
@pytest.mark.parametrize("count", [1, 2])
def test_messages_come_in_order_per_publisher_and_topic(serve, broker, tokens, count, batch):
    flags = ("--gateway", "--gateway-quiet", "--auth-tokens", tokens, *batch)
    nodes = [serve(*flags, "--pubsub", broker.url, "--print-counters") for _ in range(count)]
    speakers = [
        Client(node, headers=bearer(token)) for node, token in zip(nodes * 2, ("one", "two"))
    ]
    hearers = [Client(node, headers=bearer("three")) for node in nodes]
    clients = [*speakers, *hearers]
    join_across(clients, "a")
    join_across(clients, "b")
    total = 600
    threads = [
        threading.Thread(target=speak, args=(speaker, name, total))
        for speaker, name in zip(speakers, ("ann", "bob"))
    ]
    for thread in threads:
        thread.start()
    for client in hearers:
        heard, batches = {}, 0
        while sum(map(len, heard.values())) < 2 * total:
            message = client.next()
            batches += len(message["data"]["items"]) > 1
            for item in message["data"]["items"]:
                key = (item["from"], message["topic"])
                heard.setdefault(key, []).append(item["body"])
        for (who, topic), numbers in heard.items():
            first = ("room.a", "room.b", "user.eve").index(topic)
            assert numbers == list(range(first, total, 3)), (who, topic)
        assert len(heard) == 6
        assert bool(batches) == bool(batch)
    for thread in threads:
        thread.join()
    for node in nodes:
        assert node.counters()["gateway_missed_total"] == 0


def speak(client, name, total):
    """To two rooms and a user by turns, without waiting for answers."""
    places = ({"room": "a"}, {"room": "b"}, {"user": "eve"})
    for number in range(total):
        client.send("SEND", body=number, **places[number % 3], **{"from": name})


# ---- every drop is counted ----

BODY = "x" * 30000
MESSAGES = 300


def test_what_is_sent_is_received_or_dropped_and_counted(serve, broker):
    flags = (
        *(*OPEN, "--pubsub", broker.url, "--print-counters", "--shards", "1"),
        *("--gateway-limit-queue-messages", "10", "--gateway-limit-queue-bytes", "100000000"),
        *("--gateway-limit-idle-ms", "600000", "--limit-write-stall-ms", "600000"),
    )
    nodes = [serve(*flags) for _ in range(3)]
    speaker, reader = Client(nodes[0]), Client(nodes[1])
    slow = Client(nodes[1], receive_buffer=4096)
    gone = Client(nodes[2], receive_buffer=4096)
    join_across([speaker, reader, slow, gone], "r")
    for number in range(MESSAGES):
        speaker.ok("SEND", room="r", body=[number, BODY])
        assert reader.body()[0] == number, "who reads is held up by nobody"
    # The slow one gets what its queue kept, and hears how much that is not all.
    slow.ws.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
    received, missed, last = 0, 0, -1
    while received + missed < MESSAGES:
        message = slow.hear()
        if message["type"] == "GAP":
            missed += message["data"]["missed"]
        elif message["type"] == "PUSH":
            for item in message["data"]["items"]:
                assert item["body"][0] > last
                last = item["body"][0]
                received += 1
    assert received + missed == MESSAGES
    assert missed > 0 and last == MESSAGES - 1
    gone.ws.socket.close()

    def is_gone():
        return speaker.ok("QUERY", what="room", room="r")["count"] == 3

    eventually(is_gone, what="the end of who has gone")
    first, second, third = (node.counters() for node in nodes)
    assert second["events_dropped_queue_full_total"] == missed
    assert first["events_dropped_queue_full_total"] == 0
    for counters in (first, second, third):
        assert counters["gateway_missed_total"] == 0
        assert counters["events_dropped_no_memory_total"] == 0
        lost = (
            counters["events_dropped_queue_full_total"]
            + counters["events_dropped_session_closing_total"]
        )
        # Pings, pongs and closes are frames too, but no events.
        assert counters["events_queued_total"] - lost <= counters["frames_sent_total"]
    dropped = third["events_dropped_queue_full_total"]
    assert dropped + third["events_dropped_session_closing_total"] > 0
    for counters in (second, third):
        assert counters["gateway_received_total"] >= MESSAGES
