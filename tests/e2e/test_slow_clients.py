"""Clients that do not read: what they lose, what they are told, and what it costs others."""

import json
import socket
import struct
import threading

import pytest

from deadline import eventually
from fleet import numbers_of, raise_file_limit, read_streams
from programs import SANITIZED
from rawws import CLOSE, PING, PONG, TEXT, RawWebSocket
from test_health import Health

# MANY events of this size are more than all buffers between the node and a client can hold.
FILLER = "x" * 30000
MANY = 300
QUEUE = 10
SMALL = 4096


def start(serve, policy, *flags):
    return serve(
        "--shards", "1", "--print-counters", "--queue-policy", policy,
        "--limit-session-queue-messages", str(QUEUE), "--limit-write-stall-ms", "600000",
        "--limit-pong-timeout-ms", "600000", "--limit-close-timeout-ms", "600000", *flags,
    )  # fmt: skip


def connect(node, errors):
    """A session with small buffers, which the node is sure to have: a pong came."""
    path = "/events?enableErrors=true" if errors else "/events"
    session = RawWebSocket(node.port, path, receive_buffer=SMALL)
    session.send(PING, b"here")
    assert session.receive()[2:] == (PONG, b"here")
    return session


def publish(node, first, count):
    for number in range(first, first + count):
        node.create(title=FILLER, number=number)


def read_one(session):
    """The number of the next task, or a notice as {"dropped", "since"}, or a close code."""
    opcode, payload = session.message()
    if opcode == CLOSE:
        return struct.unpack(">H", payload[:2])
    assert opcode == TEXT
    event = json.loads(payload)
    if event["type"] != "error":
        return event["entity"]["number"]
    entity = event["entity"]
    assert (event["identity"], entity["title"]) == ("", "Events dropped")
    assert set(entity["data"]) == {"dropped", "since"}
    assert entity["description"].startswith(f"{entity['data']['dropped']} events were dropped since")
    assert entity["data"]["since"] in entity["description"]
    return entity["data"]


def read_all(session, total):
    """Reads until what came and what was told of make up `total`."""
    # With the small buffer it connected with, every few KiB would wait for the sender's timer.
    session.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
    seen, sum_of_all = [], 0
    while sum_of_all < total:
        seen.append(read_one(session))
        sum_of_all += seen[-1]["dropped"] if isinstance(seen[-1], dict) else 1
    assert sum_of_all == total
    return seen


def notices_of(seen):
    return [notice["dropped"] for notice in seen if isinstance(notice, dict)]


def assert_in_gaps(seen):
    """Every event lost is in a notice that stands where it would have been."""
    expected = 0
    for item in seen:
        if isinstance(item, dict):
            expected += item["dropped"]
        else:
            assert item == expected
            expected = item + 1


def assert_counted(counters, received, dropped, notices):
    assert counters["events_dropped_queue_full_total"] == dropped
    assert counters["events_queued_total"] == received + dropped
    assert counters["error_events_total"] == notices
    assert counters["events_dropped_session_closing_total"] == 0
    assert counters["events_dropped_no_memory_total"] == 0


@pytest.mark.parametrize("policy", ["drop-newest", "drop-oldest"])
def test_a_client_that_reads_on_is_told_what_it_lost(serve, policy):
    node = start(serve, policy)
    session = connect(node, errors=True)
    publish(node, 0, MANY)
    seen = read_all(session, MANY)
    # One for each gap, and the system's own buffers may grow in the middle of one.
    assert 1 <= len(notices_of(seen)) <= 5
    numbers = [item for item in seen if not isinstance(item, dict)]
    assert numbers == sorted(set(numbers))
    if policy == "drop-newest":
        assert_in_gaps(seen)
        assert numbers[:QUEUE] == list(range(QUEUE))
    else:  # the last ones are there, beside one that had half left
        assert numbers[1 - QUEUE :] == list(range(MANY + 1 - QUEUE, MANY))
    # Nothing of it is left over.
    publish(node, MANY, 1)
    assert read_one(session) == MANY
    session.send(CLOSE, b"\x03\xe8")
    assert session.close_code() == 1000
    notices = notices_of(seen)
    assert_counted(node.counters(), len(numbers) + 1, sum(notices), len(notices))


@pytest.mark.parametrize("policy", ["drop-newest", "drop-oldest"])
def test_a_client_that_is_slow_is_told_of_each_gap(serve, policy):
    node = start(serve, policy)
    session = connect(node, errors=True)
    seen = []
    publish(node, 0, MANY)
    for number in range(MANY, 3 * MANY, 2):
        seen.append(read_one(session))
        publish(node, number, 2)
    while True:
        count = sum(item["dropped"] if isinstance(item, dict) else 1 for item in seen)
        if count >= 3 * MANY:
            break
        seen.append(read_one(session))
    assert count == 3 * MANY
    numbers = [item for item in seen if not isinstance(item, dict)]
    assert numbers == sorted(set(numbers))
    if policy == "drop-newest":
        assert_in_gaps(seen)
    session.close()
    counters = node.counters()
    assert_counted(counters, len(numbers), sum(notices_of(seen)), len(notices_of(seen)))


@pytest.mark.parametrize("policy", ["drop-newest", "drop-oldest"])
def test_a_client_without_errors_is_told_nothing(serve, policy):
    node = start(serve, policy, "--health", "127.0.0.1:0")
    health = Health(node)
    session = connect(node, errors=False)
    publish(node, 0, MANY)
    numbers = []

    def read():
        while not numbers or numbers[-1] < MANY:
            numbers.append(read_one(session))

    reader = threading.Thread(target=read)
    reader.start()
    last = MANY

    def has_heard():  # what comes while its queue is full is lost like the rest
        nonlocal last
        publish(node, last, 1)
        last += 1
        return not reader.is_alive()

    eventually(has_heard, seconds=60, what="an event behind the gap")
    assert numbers == sorted(set(numbers))
    eventually(lambda: health.sample("events_queued_total") == last, what="the last ones")
    session.close()
    counters = node.counters()
    assert counters["error_events_total"] == 0
    assert counters["events_dropped_queue_full_total"] > 0
    assert counters["events_queued_total"] == last


def test_a_client_is_disconnected_where_the_policy_says_so(serve):
    node = start(serve, "disconnect")
    session = connect(node, errors=True)
    publish(node, 0, MANY)
    seen = [read_one(session)]
    while seen[-1] != (1008,):
        seen.append(read_one(session))
    assert seen[:-1] == list(range(len(seen) - 1))
    session.close()
    counters = node.counters()
    assert counters["sessions_closed_queue_full_total"] == 1
    assert counters["events_dropped_queue_full_total"] == 1
    lost = counters["events_dropped_session_closing_total"] + 1
    assert counters["events_queued_total"] == len(seen) - 1 + lost
    assert counters["error_events_total"] == 0


def resident_kib(node):
    with open(f"/proc/{node.pid}/status", encoding="ascii") as status:
        lines = dict(line.split(":", 1) for line in status)
    return int(lines["VmRSS"].split()[0])


def test_100_stalled_of_200_cost_the_others_nothing(serve):
    queue_kib, slack_kib = 64, 32 * 1024
    raise_file_limit(1024)
    node = serve(
        "--print-counters", "--limit-session-queue-bytes", str(queue_kib * 1024),
        "--limit-write-stall-ms", "600000", "--limit-pong-timeout-ms", "600000",
    )  # fmt: skip
    sessions, stalled = [], []
    for _ in range(100):
        sessions.append(RawWebSocket(node.port))
        stalled.append(connect(node, errors=True))
    before = resident_kib(node)
    witness, others = sessions[0], sessions[1:]
    result = {"length": float("inf"), "least": 0}

    def read_witness():
        result["numbers"], result["checksum"], result["length"] = numbers_of(witness, MANY)

    def read_others():
        def note(least):
            result["least"] = least

        result["streams"] = read_streams(others, lambda: result["length"], 120, note)

    readers = [threading.Thread(target=read) for read in (read_witness, read_others)]
    for reader in readers:
        reader.start()
    for first in range(0, MANY, 10):
        publish(node, first, 10)
        # Those that read must not fall behind: they have no more room than the stalled.
        eventually(
            lambda heard=first + 10: result["least"] >= heard * len(FILLER),
            seconds=60,
            what="readers that keep up",
        )
        if not SANITIZED:
            assert resident_kib(node) - before < len(stalled) * queue_kib + slack_kib
    for reader in readers:
        reader.join()
    assert result["numbers"] == list(range(MANY))
    wanted = (result["length"], result["checksum"])
    assert all((stream.length, stream.checksum) == wanted for stream in result["streams"])
    received = MANY * len(sessions)
    for session in sessions:
        session.close()
    notices = []
    for session in stalled:
        seen = read_all(session, MANY)
        assert_in_gaps(seen)
        assert notices_of(seen)
        received += MANY - sum(notices_of(seen))
        notices += notices_of(seen)
        session.close()
    assert_counted(node.counters(), received, sum(notices), len(notices))
