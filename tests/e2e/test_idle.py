"""What sessions cost while nothing happens, and what a deaf one costs the others."""

import json
import time

from fleet import connect_all
from programs import SANITIZED
from rawws import RawWebSocket

FEW, MANY = 10, 1000 if SANITIZED else 3000
DELAY_MS = 500 if SANITIZED else 50
EVENTS = 300


def test_many_idle_sessions_need_no_more_threads_than_few(serve):
    # They answer no ping, however long it takes to connect them all.
    node = serve("--limit-ping-interval-ms", "600000", "--limit-pong-timeout-ms", "900000")
    sessions = connect_all(node.port, FEW)
    with_few = node.threads()
    sessions += connect_all(node.port, MANY - FEW)
    assert node.threads() == with_few
    node.create(title="heard by all")
    for session in sessions:
        assert json.loads(session.message()[1])["entity"]["title"] == "heard by all"
        session.close()


def longest_delay_ms(node, session, description):
    longest = 0.0
    for number in range(EVENTS):
        before = time.monotonic()
        node.create("/lists", name=str(number), description=description)
        assert json.loads(session.message()[1])["entity"]["name"] == str(number)
        longest = max(longest, (time.monotonic() - before) * 1000)
    return longest


def test_a_client_that_stops_reading_does_not_delay_another(serve):
    node = serve("--shards", "1", "--print-counters")
    deaf = RawWebSocket(node.port, receive_buffer=4096)
    session = RawWebSocket(node.port)
    description = "x" * 16384  # soon more than the deaf one's buffers and queue hold
    # The machine itself may pause any one run; a server that waits delays every one.
    delays = []
    for _ in range(4):
        delays.append(longest_delay_ms(node, session, description))
        if delays[-1] <= DELAY_MS:
            break
    assert min(delays) <= DELAY_MS, delays
    session.close()
    deaf.close()
    assert node.counters()["events_dropped_queue_full_total"] > 0
