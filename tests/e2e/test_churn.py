"""Sessions that come, change what they want, stop reading, leave and break off, while events are
published: whoever is there gets them in order, and every one is accounted for."""

import json
import os
import random
import re
import select
import socket
import struct
import threading

import pytest

from fleet import create_all, raise_file_limit
from programs import SANITIZED
from rawws import CLOSE, PING, PONG, TEXT, RawWebSocket, frame

SEED = int(os.environ.get("KUJATA_CHURN_SEED", "0")) or random.randrange(1, 1 << 32)
PLACES = 60
ACTIONS = 4  # between two looks at what there is to read
BATCHES = int(os.environ.get("KUJATA_CHURN_BATCHES", "12" if SANITIZED else "60"))
BATCH = 100
TITLE = "t" * 4000  # what is not read fills a socket's buffers in the end
NUMBER = re.compile(rb'"number":(\d+)')

FLAGS = (
    "--limit-session-queue-messages", "50",
    "--limit-write-stall-ms", "1500",
    "--limit-close-timeout-ms", "300",
    "--print-counters",
)  # fmt: skip


class Place:
    """One session and what it has received."""

    def __init__(self, port, chance, errors):
        self.web = RawWebSocket(
            port,
            "/events?enableErrors=true" if errors else "/events",
            receive_buffer=chance.choice([None, 4096]),
        )
        self.web.socket.setblocking(False)
        self.buffer = self.web.buffer
        self.last = -1
        self.received = 0

    def fileno(self):
        return self.web.socket.fileno()

    def read(self):
        """False at the end of the stream."""
        try:
            data = self.web.socket.recv(1 << 18)
        except ConnectionError:
            data = b""
        self.buffer += data
        while self._take_frame():
            pass
        return bool(data)

    def _take_frame(self):
        buffer = self.buffer
        if len(buffer) < 2 or (buffer[1] == 126 and len(buffer) < 4):
            return False
        length, head = buffer[1], 2
        assert length <= 126, "nothing here is longer"
        if length == 126:
            (length,), head = struct.unpack_from(">H", buffer, 2), 4
        if len(buffer) < head + length:
            return False
        payload = bytes(buffer[head : head + length])
        opcode = buffer[0]
        del buffer[: head + length]
        assert opcode in (0x80 | TEXT, 0x80 | CLOSE, 0x80 | PING)
        if opcode == 0x80 | TEXT:
            self._take_event(payload)
        elif opcode == 0x80 | PING:
            self.send(frame(PONG, payload))
        return True

    def _take_event(self, payload):
        assert payload[:1] == b"{" and payload[-1:] == b"}"
        match = NUMBER.search(payload)
        if match:
            number = int(match[1])
            assert number > self.last, f"{number} after {self.last}"
            self.last = number
            self.received += 1
        else:
            assert b'"type":"error"' in payload

    def configure(self, chance):
        filter_text = f"number != {chance.randrange(99)}"
        config = chance.choice(
            [
                {},
                {"identities": {"task": []}},
                {"identities": {"task": ["create"], "list": []}},
                {"identities": {"list": []}},
                {"identities": {"task": []}, "filters": {"task": filter_text}},
                {"filters": {"task": "number =="}, "identities": {"task": []}},
            ]
        )
        self.send(frame(TEXT, json.dumps(config).encode()))

    def send(self, data):
        try:
            self.web.socket.send(data)
        except (BlockingIOError, ConnectionError):
            pass

    def end(self, chance):
        if chance.random() < 0.5:
            linger = struct.pack("ii", 1, 0)  # a reset, with whatever is under way
            self.web.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        elif chance.random() < 0.5:
            self.send(frame(CLOSE, b"\x03\xe8"))
        self.web.close()


class Crowd:
    def __init__(self, port):
        self.port = port
        self.chance = random.Random(SEED)
        self.poller = select.epoll()
        self.places = {}
        self.stalled = set()
        self.received = 0

    def connect(self):
        place = Place(self.port, self.chance, errors=self.chance.random() < 0.5)
        self.places[place.fileno()] = place
        self.poller.register(place.fileno(), select.EPOLLIN)

    def remove(self, descriptor):
        place = self.places.pop(descriptor)
        self.received += place.received
        if descriptor in self.stalled:
            self.stalled.remove(descriptor)
        else:
            self.poller.unregister(descriptor)
        place.end(self.chance)

    def toggle_stall(self, descriptor):
        if descriptor in self.stalled:
            self.stalled.remove(descriptor)
            self.poller.register(descriptor, select.EPOLLIN)
        else:
            self.stalled.add(descriptor)
            self.poller.unregister(descriptor)

    def act(self):
        if len(self.places) < PLACES:
            self.connect()
        descriptor = self.chance.choice(list(self.places))
        what = self.chance.random()
        if what < 0.3:
            self.places[descriptor].configure(self.chance)
        elif what < 0.45:
            self.toggle_stall(descriptor)
        elif what < 0.55:
            self.remove(descriptor)

    def read(self):
        for descriptor, _ in self.poller.poll(0.005):
            if not self.places[descriptor].read():
                self.remove(descriptor)


def publish(port):
    for batch in range(BATCHES):
        create_all(port, BATCH, first=batch * BATCH, title=TITLE)


@pytest.mark.parametrize("policy", ["drop-newest", "drop-oldest", "disconnect"])
@pytest.mark.parametrize("io", ["epoll", "auto"])
def test_sessions_that_churn_get_events_in_order(serve, io, policy):
    raise_file_limit(4096)
    node = serve("--io", io, "--queue-policy", policy, *FLAGS)
    crowd = Crowd(node.port)
    publisher = threading.Thread(target=publish, args=(node.port,), daemon=True)
    publisher.start()
    print(f"KUJATA_CHURN_SEED={SEED}")  # shown when it fails
    while publisher.is_alive():
        for _ in range(ACTIONS):
            crowd.act()
        crowd.read()
    publisher.join()
    for descriptor in list(crowd.places):
        crowd.remove(descriptor)
    counters = node.counters()
    assert crowd.received > 0
    assert counters["http_ws_connections_current"] == 0
    # Besides events, a node sends error events and at most one close for each session.
    begun = counters["events_queued_total"] + counters["error_events_total"]
    ended = counters["frames_sent_total"] + sum(
        value for name, value in counters.items() if name.startswith("events_dropped_")
    )
    assert 0 <= ended - begun <= counters["http_ws_connections_total"]


# ---- a crowd ----

GUESTS = 500  # at a time
EVENTS = 20_000
ARRIVALS = 5  # for each batch of events: a thousand in all


class Guest(Place):
    """Wants little of what goes by, as most do, and says so once."""

    def __init__(self, port, chance):
        super().__init__(port, chance, errors=False)
        self.wants_all = chance.random() < 0.02
        number = chance.randrange(EVENTS)
        config = chance.choice(
            [
                {"identities": {"list": []}},
                {"identities": {"task": ["delete"]}},
                {"identities": {"task": []}, "filters": {"task": f"number == {number}"}},
                {"identities": {"task": []}, "filters": {"task": f'title matches ["{number}$"]'}},
            ]
        )
        self.send(frame(TEXT, json.dumps({} if self.wants_all else config).encode()))


class House(Crowd):
    def __init__(self, port):
        super().__init__(port)
        self.arrivals = 0
        self.arrived = threading.Semaphore(0)

    def connect(self):
        guest = Guest(self.port, self.chance)
        self.places[guest.fileno()] = guest
        self.poller.register(guest.fileno(), select.EPOLLIN)
        self.arrivals += 1
        self.arrived.release()

    def move(self):
        if len(self.places) >= GUESTS:
            self.remove(self.chance.choice(list(self.places)))
        self.connect()


def publish_to(house):
    """No faster than guests arrive."""
    for first in range(0, EVENTS, BATCH):
        for _ in range(ARRIVALS):
            house.arrived.acquire()
        create_all(house.port, BATCH, first=first, title=f"t{first}")


def test_hundreds_filter_and_leave_while_events_go_by(serve):
    raise_file_limit(4096)
    node = serve("--print-counters")
    house = House(node.port)
    publisher = threading.Thread(target=publish_to, args=(house,), daemon=True)
    publisher.start()
    print(f"KUJATA_CHURN_SEED={SEED}")  # shown when it fails
    while publisher.is_alive():
        house.move()
        house.read()
    publisher.join()
    for descriptor in list(house.places):
        house.remove(descriptor)
    counters = node.counters()
    assert house.received > 0
    assert house.arrivals >= ARRIVALS * EVENTS // BATCH
    assert counters["http_ws_connections_current"] == 0
    # Who leaves at once may be gone before there is a session.
    assert house.arrivals * 0.9 <= counters["http_ws_connections_total"] <= house.arrivals
    assert counters["events_published_total"] >= EVENTS
