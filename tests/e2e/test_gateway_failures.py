"""What went wrong in gateways before this one: peers that stop reading, rooms that are taken down
while messages arrive, identities that are mixed up, refusals nobody sees."""

import threading
import time

import pytest

from deadline import eventually
from native import Client, bearer
from rawws import Refused

OPEN = ("--gateway", "--gateway-open", "--gateway-quiet")
BODY = "x" * 30000


def at_once(functions):
    """Runs them, each on a thread, from one moment on; fails with the first that fails."""
    barrier = threading.Barrier(len(functions))
    failures = []

    def run(function):
        try:
            barrier.wait(60)
            function()
        except Exception as failure:
            failures.append(failure)

    threads = [threading.Thread(target=run, args=(function,)) for function in functions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures, failures[0]


def test_a_peer_that_stops_reading_holds_nobody_up_and_goes_in_time(serve):
    node = serve(
        *(*OPEN, "--shards", "1", "--print-counters"),
        *("--limit-write-stall-ms", "3000", "--gateway-limit-queue-bytes", "100000000"),
        *("--gateway-limit-queue-messages", "100000"),
    )
    speaker, reader = Client(node), Client(node)
    stalled = Client(node, receive_buffer=4096)
    for client in (speaker, reader, stalled):
        client.ok("JOIN", room="r")
    slowest = 0.0
    start = time.monotonic()

    def is_gone():
        nonlocal slowest
        sent = time.monotonic()
        speaker.ok("SEND", room="r", body=BODY)
        reader.body()
        slowest = max(slowest, time.monotonic() - sent)
        speaker.pushes.clear()
        return speaker.ok("QUERY", what="room", room="r")["count"] == 2

    eventually(is_gone, what="the end of the peer that does not read")
    assert time.monotonic() - start < 15
    assert slowest < 3, "nobody waits for it, on the same shard"
    counters = node.counters()
    assert counters["sessions_closed_write_stall_total"] == 1
    assert counters["events_dropped_session_closing_total"] > 0, "what it did not get is counted"


def test_a_user_who_does_not_read_is_closed_and_nothing_of_others_is_lost(serve, tmp_path):
    (tmp_path / "tokens").write_text("one sub=ann\ntwo sub=bob\n")
    node = serve(
        *("--gateway", "--gateway-quiet", "--auth-tokens", str(tmp_path / "tokens")),
        *("--gateway-limit-queue-messages", "20", "--print-counters"),
        *("--gateway-limit-queue-bytes", "100000000", "--shards", "1"),
    )
    ann, bob = Client(node, headers=bearer("one")), Client(node, headers=bearer("two"))
    stalled = Client(node, headers=bearer("two"), receive_buffer=4096)
    sent = 0

    def is_alone():
        nonlocal sent
        ann.ok("SEND", user="bob", body=[sent, BODY])
        assert bob.body()[0] == sent
        sent += 1
        return ann.ok("SEND", user="bob", body=[sent, ""])["reached"] == 1

    def next_one():
        nonlocal sent
        if is_alone():
            return True
        assert bob.body()[0] == sent
        sent += 1
        return False

    eventually(next_one, what="the end of the one that does not read")
    assert bob.body()[0] == sent
    stalled.ws.close()
    counters = node.counters()
    assert counters["sessions_closed_queue_full_total"] == 1
    assert counters["events_dropped_queue_full_total"] + counters[
        "events_dropped_session_closing_total"
    ] > 0


@pytest.mark.parametrize("batch", [(), ("--gateway-batch-ms", "10")], ids=["single", "batched"])
def test_a_room_that_is_taken_down_and_made_again_loses_nothing(serve, batch):
    """Every room is left by its last member again and again, while messages are on the way."""
    node = serve(*OPEN, *batch, "--gateway-linger-ms", "1", "--print-counters")

    def come_and_go(own):
        client = Client(node)
        for turn in range(100):
            for room in (f"own{own}", "shared"):
                client.ok("JOIN", room=room)
                for number in range(3):
                    client.send("SEND", room=room, body=[own, turn, number])
                heard = []
                while len(heard) < 3:
                    message = client.next()
                    assert message["topic"].startswith("room.")
                    heard += [
                        item["body"] for item in message["data"]["items"]
                        if item["body"][:2] == [own, turn] and message["topic"] == "room." + room
                    ]  # fmt: skip
                assert heard == [[own, turn, number] for number in range(3)]
                client.ok("LEAVE", room=room)

    at_once([lambda own=own: come_and_go(own) for own in range(4)])
    counters = node.counters()
    assert counters["gateway_missed_total"] == 0
    assert counters["gateway_published_total"] == 4 * 100 * 2 * 3


def test_clients_that_come_at_once_are_never_mixed_up(serve, tmp_path):
    count = 60
    (tmp_path / "tokens").write_text("".join(f"token{i} sub=user{i}\n" for i in range(count)))
    node = serve(
        *("--gateway", "--gateway-quiet", "--auth-tokens", str(tmp_path / "tokens")),
        *("--gateway-limit-handshake-ms", "60000"),
    )
    clients = {}

    def come(number):
        name = f"user{number}"
        if number % 2:
            client = Client(node, headers=bearer(f"token{number}"))
            assert client.welcome["data"]["user"] == name
        else:
            client = Client(node)
            assert client.ok("AUTH", token=f"token{number}") == {"user": name}
        clients[name] = client
        client.ok("JOIN", room="r")
        answer = client.ok("SEND", user=name, body=number)
        assert answer["reached"] == 1
        while True:
            message = client.next()
            if message["topic"] == "user." + name:
                (item,) = message["data"]["items"]
                assert (item["from"], item["body"]) == (name, number)
                break

    at_once([lambda number=number: come(number) for number in range(count)])
    sessions = {client.welcome["data"]["session"] for client in clients.values()}
    assert len(sessions) == count
    first = clients["user0"]
    members = first.ok("QUERY", what="room", room="r", max=100)["members"]
    assert {member["session"]: member["user"] for member in members} == {
        client.welcome["data"]["session"]: name for name, client in clients.items()
    }


def test_every_refusal_is_seen_by_the_client(serve, tmp_path):
    (tmp_path / "tokens").write_text("one sub=ann\ntwo sub=bob\n")
    node = serve(
        *("--gateway", "--gateway-quiet", "--auth-tokens", str(tmp_path / "tokens")),
        *("--gateway-limit-handshake-ms", "1500", "--print-counters"),
    )
    with pytest.raises(Refused) as refusal:
        Client(node, headers=bearer("wrong"))
    assert refusal.value.status == 401
    wrong, late, silent = Client(node), Client(node), Client(node)
    assert wrong.error("JOIN", room="r") == "unauthorized"
    assert wrong.error("AUTH", token="wrong") == "unauthorized"
    assert wrong.hear() == 4401
    assert silent.hear()["type"] == "KICK"
    assert silent.hear() == 4401
    # One that brings its token after its time hears the same, and nothing else.
    assert late.hear()["type"] == "KICK"
    late.send("AUTH", id=1, token="one")
    assert late.hear() == 4401
    ann, bob = Client(node, headers=bearer("one")), Client(node, headers=bearer("two"))
    bob.ok("JOIN", room="r")
    ann.ok("JOIN", room="r")
    assert ann.error("SEND", room="r", body=1, **{"from": "bob"}) == "forbidden"
    assert ann.error("SEND", user="bob", body=1, **{"from": ""}) == "forbidden"
    assert bob.ask("PING")["type"] == "PONG"
    assert not bob.pushes, "nobody heard of what was refused"
    counters = node.counters()
    assert counters["gateway_handshakes_too_slow_total"] == 2
    assert counters["gateway_requests_refused_total"] >= 3
    assert counters["gateway_logins_refused_total"] == 1
