"""5,000 events in one burst, to one session and to a thousand, none lost, all in order."""

import os
import threading

import pytest

from fleet import connect_all, create_all, numbers_of, read_streams
from programs import SANITIZED

EVENTS = 5000
SESSIONS = int(os.environ.get("KUJATA_BURST_SESSIONS", "20" if SANITIZED else "1000"))
SECONDS = 300

# Room for the whole burst, and no pings, so that every session gets the same bytes.
FLAGS = (
    "--limit-session-queue-messages", "10000",
    "--limit-session-queue-bytes", "16777216",
    "--limit-ping-interval-ms", "600000",
    "--limit-pong-timeout-ms", "900000",
    "--limit-write-stall-ms", "120000",
    "--print-counters",
)  # fmt: skip


@pytest.fixture(params=["local", "nats"])
def backend(request):
    if request.param == "local":
        return ("--pubsub", "local")
    return ("--pubsub", request.getfixturevalue("broker").url)


def in_background(function, *arguments):
    thread = threading.Thread(target=function, args=arguments, daemon=True)
    thread.start()
    return thread


def counters_say_nothing_was_lost(node, deliveries):
    counters = node.counters()
    assert counters["events_queued_total"] == deliveries
    lost = {name: value for name, value in counters.items() if "dropped" in name and value}
    assert lost == {}


def test_one_session_receives_all_in_order(serve, backend):
    node = serve(*FLAGS, *backend)
    (session,) = connect_all(node.port, 1)
    publisher = in_background(create_all, node.port, EVENTS)
    numbers, _, _ = numbers_of(session, EVENTS)
    publisher.join()
    session.close()
    assert numbers == list(range(EVENTS))
    counters_say_nothing_was_lost(node, EVENTS)


def test_a_thousand_sessions_receive_all_in_order(serve, backend):
    node = serve(*FLAGS, *backend)
    first, *others = connect_all(node.port, SESSIONS)
    publisher = in_background(create_all, node.port, EVENTS)
    reference = {}

    def read_first():
        reference["numbers"], reference["checksum"], reference["length"] = numbers_of(
            first, EVENTS
        )

    reader = in_background(read_first)
    streams = read_streams(others, lambda: reference.get("length", 1 << 62), SECONDS)
    reader.join(SECONDS)
    publisher.join(SECONDS)
    assert reference["numbers"] == list(range(EVENTS))
    for session in (first, *others):
        session.close()
    # The others got the very bytes of the first.
    assert {stream.length for stream in streams} <= {reference["length"]}
    assert {stream.checksum for stream in streams} <= {reference["checksum"]}
    counters_say_nothing_was_lost(node, EVENTS * SESSIONS)
