"""Sessions that come back get exactly what they missed, or are told that they cannot."""

import contextlib
import json
import os
import random
import re
import select
import socket
import threading

import msgpack
import pytest

from deadline import eventually
from fleet import create_all
from programs import KUJATA, free_port
from rawws import BINARY, CLOSE, PING, PONG, TEXT, RawWebSocket
from test_health import Health

JSON, MSGPACK = "application/json", "application/msgpack"
ENCODINGS = [JSON, MSGPACK]
TASKS = {"identities": {"task": ["create"]}, "filters": {"task": "title == 'wanted'"}}
FILLER = "x" * 30000
SMALL = 4096


class Session(RawWebSocket):
    def __init__(self, node, query="", encoding=JSON, config=None, **options):
        self.encoding = encoding
        headers = {"Accept": encoding, "Content-Type": encoding}
        super().__init__(node.port, "/events" + query, headers, **options)
        if config is not None:
            self.configure(config)

    def configure(self, config):
        if self.encoding == JSON:
            self.send(TEXT, json.dumps(config).encode())
        else:
            self.send(BINARY, msgpack.packb(config))

    def event(self):
        opcode, payload = self.message()
        assert opcode == (TEXT if self.encoding == JSON else BINARY), payload
        if self.encoding == JSON:
            return json.loads(payload)
        event = msgpack.unpackb(payload, timestamp=0)
        event["entity"] = msgpack.unpackb(event["entity"], timestamp=0)
        return event

    def events(self, count):
        return [self.event() for _ in range(count)]

    def numbers(self, count):
        return [event["entity"]["number"] for event in self.events(count)]

    def notice(self, reason):
        """The next event says why the session could not go on; where it does so now, or None."""
        event = self.event()
        assert (event["type"], event["identity"]) == ("error", "")
        entity = event["entity"]
        assert (entity["code"], entity["title"]) == (410, "Cannot resume")
        assert entity["data"] == {"reason": reason} and entity["description"]
        return event.get("seq")

    def is_silent(self):
        """Whether nothing had come by the pong to a ping sent now."""
        self.send(PING, b"so far")
        return self.receive()[2:] == (PONG, b"so far")

    def wait(self):
        assert self.is_silent()
        return self

    def place(self):
        """Of the next message, which tells it and nothing else."""
        event = self.event()
        assert (event["type"], event["identity"], event["entity"]) == ("position", "", {})
        assert sorted(event) == ["encoding", "entity", "identity", "seq", "timestamp", "type"]
        return event["seq"]


def start(serve, *flags):
    return serve("--print-counters", "--limit-close-timeout-ms", "200",
                 "--limit-drain-timeout-ms", "500", "--limit-write-stall-ms", "600000",
                 "--limit-pong-timeout-ms", "600000", *flags)  # fmt: skip


def publish(node, numbers, title="wanted"):
    for number in numbers:
        node.create(title=title, number=number)


def publish_fast(port, count):
    """As fast as the node takes them: of each three tasks one is wanted."""
    create_all(port, count, title=lambda number: "other" if number % 3 else "wanted")


def place_of(node, encoding=JSON):
    """The place of an event that was published just now."""
    session = Session(node, "?resume", encoding).wait()
    node.create(title="here", number=-1)
    place = session.event()["seq"]
    session.close()
    return place


def moved(place, by):
    stream, _, number = place.rpartition("-")
    return f"{stream}-{int(number) + by}"


def number_of(place):
    return int(place.rpartition("-")[2])


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_events_tell_their_place_only_to_who_asks(serve, encoding):
    node = start(serve)
    plain = Session(node, encoding=encoding).wait()
    asking = [Session(node, query, encoding).wait() for query in ("?resume", "?resume=no&a=b")]
    publish(node, range(3))
    for _ in range(3):
        _, bytes_of_plain = plain.message()
        first, second = (session.message()[1] for session in asking)
        assert first == second and b"seq" not in bytes_of_plain
        if encoding == JSON:
            event = json.loads(first)
            seq = event.pop("seq")
            assert first == bytes_of_plain[:-1] + f',"seq":"{seq}"}}'.encode()
        else:
            event = msgpack.unpackb(first, timestamp=0)
            seq = event.pop("seq")
            tail = msgpack.packb("seq") + msgpack.packb(seq)
            assert first == bytes([bytes_of_plain[0] + 1]) + bytes_of_plain[1:] + tail
        assert sorted(event) == ["encoding", "entity", "identity", "timestamp", "type"]
    assert int(seq.rpartition("-")[2]) == 3


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_a_session_gets_what_it_missed_and_then_goes_on(serve, encoding):
    node = start(serve)
    session = Session(node, "?resume", encoding, TASKS).wait()
    publish(node, [0, 1])
    place = session.events(2)[-1]["seq"]
    session.close()
    publish(node, [2, 3])
    publish(node, [100, 101], title="other")
    publish(node, [4])
    node.create("/lists", name="no task")
    again = Session(node, f"?since={place}", encoding)
    assert again.is_silent()  # until it has said what it wants
    publish(node, [5])
    assert again.is_silent()
    again.configure(TASKS)
    missed = again.events(4)
    assert [event["entity"]["number"] for event in missed] == [2, 3, 4, 5]
    assert [event["seq"] for event in missed] == [moved(place, by) for by in (1, 2, 5, 7)]
    publish(node, [6])
    assert again.numbers(1) == [6]
    # The same once more, now asking for everything.
    other = Session(node, f"?since={place}", encoding, {})
    assert [event["identity"] for event in other.events(8)].count("list") == 1
    assert other.is_silent() and again.is_silent()
    assert node.counters()["session_resumes_total"] == 2


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_nothing_is_lost_or_doubled_while_events_are_published(serve, encoding):
    node = start(serve, "--resume-events", "100000", "--resume-bytes", "1000000000")
    place = place_of(node, encoding)
    total = 3000
    publisher = threading.Thread(target=publish_fast, args=(node.port, total))
    publisher.start()
    wanted = list(range(0, total, 3))
    seen, breaks = [], 0
    while len(seen) < len(wanted):
        session = Session(node, f"?since={place}", encoding, TASKS)
        for event in session.events(min(random.randint(1, 40), len(wanted) - len(seen))):
            seen.append(event["entity"]["number"])
            place = event["seq"]
        session.close()
        breaks += 1
    publisher.join()
    assert seen == wanted and breaks >= 25
    assert node.counters()["session_resumes_too_old_total"] == 0


def test_many_sessions_come_back_at_once(serve):
    node = start(serve)
    place = place_of(node)
    publish(node, range(200))
    configs = [TASKS, {}, {"identities": {"list": None}},
               {"identities": {"task": None}, "filters": {"task": "number == 170"}}]  # fmt: skip
    expected = [range(202), range(202), [], [170]]
    sessions = []
    for turn in range(40):
        skipped = random.randint(0, 160)
        query = f"?since={moved(place, skipped)}"
        session = Session(node, query, ENCODINGS[turn % 2], configs[turn % 4])
        sessions.append((session, [number for number in expected[turn % 4] if number >= skipped]))
    publish(node, [200, 201])
    for session, numbers in sessions:
        assert session.numbers(len(numbers)) == numbers
        assert session.is_silent()
    assert node.counters()["session_resumes_total"] == 40


def test_a_replay_larger_than_the_queue_is_fed_as_the_client_reads(serve):
    node = start(serve, "--shards", "1", "--limit-session-queue-messages", "4",
                 "--resume-bytes", "1000000000")  # fmt: skip
    place = place_of(node)
    publish(node, range(300), title=FILLER)
    session = Session(node, f"?since={place}", config={}, receive_buffer=SMALL)
    assert session.numbers(100) == list(range(100))
    publish(node, range(300, 310), title=FILLER)
    session.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
    assert session.numbers(210) == list(range(100, 310))
    assert session.is_silent()
    counters = node.counters()
    assert counters["events_dropped_queue_full_total"] == 0
    assert counters["session_resumes_total"] == 1


def test_a_session_that_falls_behind_what_is_kept_is_told(serve):
    node = start(serve, "--shards", "1", "--resume-events", "200", "--resume-bytes", "1000000000",
                 "--limit-session-queue-messages", "8")  # fmt: skip
    place = place_of(node)
    publish(node, range(200), title=FILLER)
    session = Session(node, f"?since={place}", config={}, receive_buffer=SMALL)
    assert session.numbers(1) == [0]
    publish(node, range(200, 700), title=FILLER)
    session.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
    numbers = []
    while (event := session.event())["type"] != "error":
        numbers.append(event["entity"]["number"])
    assert numbers == list(range(1, len(numbers) + 1)) and len(numbers) < 500
    assert event["entity"]["data"] == {"reason": "too-old"}
    publish(node, [700], title=FILLER)
    behind = session.event()
    assert behind["seq"] == moved(event["seq"], 1)
    rest = [behind["entity"]["number"]]
    while rest[-1] != 700:
        rest += session.numbers(1)
    assert rest == list(range(rest[0], 701)) and rest[0] >= 500
    counters = node.counters()
    assert counters["session_resumes_too_old_total"] == 1
    assert counters["session_resumes_total"] == counters["events_dropped_queue_full_total"] == 0


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_a_place_that_is_too_old_is_refused(serve, encoding):
    node = start(serve, "--resume-events", "8")
    place = place_of(node)
    publish(node, range(8))
    kept = Session(node, f"?since={place}", encoding, {})
    assert kept.numbers(8) == list(range(8))
    publish(node, [8])
    assert kept.numbers(1) == [8]
    session = Session(node, f"?since={place}", encoding)
    assert session.notice("too-old") == moved(place, 9)
    session.configure({})
    publish(node, [9])
    event = session.event()
    assert (event["entity"]["number"], event["seq"]) == (9, moved(place, 10))
    # Given up between the handshake and the config.
    late = Session(node, f"?since={moved(place, 10)}", encoding).wait()
    publish(node, range(10, 20))
    assert kept.numbers(11) == list(range(9, 20))
    late.configure({})
    assert late.notice("too-old") == moved(place, 12)
    assert late.numbers(8) == list(range(12, 20))
    assert late.is_silent()
    assert node.counters()["session_resumes_too_old_total"] == 2


def test_bytes_are_a_bound_too(serve):
    node = start(serve, "--resume-bytes", "100000")
    place = place_of(node)
    publish(node, [0], title="x" * 20000)
    kept = Session(node, f"?since={place}", config={})
    assert kept.numbers(1) == [0]
    publish(node, [1], title="x" * 20000)
    assert kept.numbers(1) == [1]
    session = Session(node, f"?since={place}", config={})
    assert session.notice("too-old") == moved(place, 2)
    # One that alone is too large leaves nothing before it.
    publish(node, [2], title="x" * 200000)
    assert session.numbers(1) == [2]
    Session(node, f"?since={moved(place, 2)}", config={}).notice("too-old")
    assert Session(node, f"?since={moved(place, 3)}", config={}).is_silent()
    assert node.counters()["session_resumes_too_old_total"] == 2


@pytest.mark.parametrize(
    "since, reason, counter",
    [
        ("", "malformed", "malformed"),
        ("7", "malformed", "malformed"),
        ("-7", "malformed", "malformed"),
        ("{stream}-", "malformed", "malformed"),
        ("{stream}-7x", "malformed", "malformed"),
        ("{stream}--7", "malformed", "malformed"),
        ("{stream}-99999999999999999999999", "malformed", "malformed"),
        ("%ff%00-1", "malformed", "malformed"),
        ("{stream}0-1", "other-stream", "other_stream"),
        ("0000000000000000-1", "other-stream", "other_stream"),
        ("{stream}-2", "ahead", "ahead"),
        ("{stream}-18446744073709551615", "ahead", "ahead"),
    ],
)
def test_what_is_no_place_is_refused_and_the_session_goes_on(serve, since, reason, counter):
    node = start(serve)
    place = place_of(node)
    stream = place.rpartition("-")[0]
    session = Session(node, "?since=" + since.format(stream=stream))
    assert session.notice(reason) == place
    publish(node, [1])
    assert session.is_silent()
    session.configure(TASKS)
    publish(node, [2])
    assert session.numbers(2) == [1, 2]
    assert session.is_silent()
    counters = node.counters()
    assert counters[f"session_resumes_{counter}_total"] == 1
    assert counters["session_resumes_total"] == 0


def test_a_node_that_keeps_nothing_says_so(serve):
    node = start(serve, "--resume-events", "0")
    plain = Session(node, "?resume").wait()
    session = Session(node, "?since=0123456789abcdef-1", config=TASKS)
    assert session.notice("off") is None
    session.wait()
    publish(node, [0])
    for events in (plain.event(), session.event()):
        assert "seq" not in events and events["entity"]["number"] == 0
    assert node.counters()["session_resumes_off_total"] == 1


def test_a_node_that_was_started_again_says_so(serve):
    port = free_port()
    first = serve(listen=f"127.0.0.1:{port}")
    place = place_of(first)
    first.stop()
    second = serve(listen=f"127.0.0.1:{port}")
    publish(second, [0])
    # What one had that never heard of the gap does not lead over it.
    cut_off = Session(second, f"?since={place}")
    assert "x-seq" not in cut_off.headers
    cut_off.close()
    session = Session(second, f"?since={place}", config={})
    new_place = session.notice("other-stream")
    publish(second, [1])
    assert session.numbers(1) == [1]
    assert Session(second, f"?since={new_place}", config={}).numbers(1) == [1]


def test_another_node_says_so(serve, broker):
    nodes = [start(serve, "--pubsub", broker.url) for _ in range(2)]

    def joined():
        session = Session(nodes[1]).wait()
        nodes[0].create(title="hello", number=-1)
        return session.has_data(0.5)

    eventually(joined, what="hearing the other node")
    place = place_of(nodes[0])
    before = Session(nodes[1], config=TASKS).wait()
    publish(nodes[0], [0])
    assert before.numbers(1) == [0]  # or it might come there later than the next session
    here = Session(nodes[0], f"?since={place}", config=TASKS)
    there = Session(nodes[1], f"?since={place}", config=TASKS)
    there.notice("other-stream")
    assert here.numbers(1) == [0]
    there.wait()
    publish(nodes[0], [1])
    assert here.numbers(1) == there.numbers(1) == [1]


def test_a_bad_config_leaves_the_session_mute(serve):
    node = start(serve)
    place = place_of(node)
    publish(node, [0])
    session = Session(node, f"?since={place}&enableErrors")
    session.send(TEXT, b"3")
    assert session.event()["type"] == "error"
    assert session.is_silent()
    session.configure(TASKS)
    assert session.numbers(1) == [0]
    ended = Session(node, f"?since={place}")
    ended.send(TEXT, b"3")
    assert ended.close_code() == 1003


def with_namespaces(tmp_path, *flags):
    """The command of a server whose tasks live in namespaces."""
    model = tmp_path / "model.json"
    attributes = [{"name": "namespace", "type": "string"}, {"name": "number", "type": "integer"}]
    identity = {"name": "task", "category": "tasks", "attributes": attributes}
    relation = {"parent": "root", "child": "task", "operations": ["create"]}
    document = {"version": 1, "identities": [identity], "relations": [relation]}
    model.write_text(json.dumps(document))
    command = [KUJATA, "serve", "--model", str(model), "--listen", "127.0.0.1:0", "--namespaces"]
    return command + list(flags)


def test_namespaces_hold_for_what_was_missed(serve, tmp_path):
    node = serve(program=with_namespaces(tmp_path))
    session = Session(node, "?resume&namespace=/a").wait()
    node.create(namespace="/a", number=0)
    place = session.event()["seq"]
    session.close()
    for number in range(1, 7):
        node.create(namespace="/a" if number % 2 else "/b", number=number)
    mine = Session(node, f"?namespace=/a&since={place}", config={})
    assert mine.numbers(3) == [1, 3, 5]
    assert mine.is_silent()


class Proxy:
    """Between a client and a node, to break their connections."""

    def __init__(self, port):
        self.target = port
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.pairs = []
        self.place = 0  # the number of the last place that went through to JSON clients
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            try:
                server = socket.create_connection(("127.0.0.1", self.target))
            except OSError:
                client.close()
                continue
            self.pairs.append((client, server))
            threading.Thread(target=self._pass, args=(client, server), daemon=True).start()

    def _pass(self, client, server):
        latest = b""
        try:
            while True:
                for end in select.select([client, server], [], [])[0]:
                    data = end.recv(1 << 16)
                    if not data:
                        return
                    (server if end is client else client).sendall(data)
                    if end is server:
                        latest = (latest + data)[-1000:]
                        for place in re.findall(rb'"seq":"[0-9a-f]+-(\d+)"', latest):
                            self.place = int(place)
        except (OSError, ValueError):
            return

    def break_all(self):
        for pair in self.pairs:
            for end in pair:
                with contextlib.suppress(OSError):  # its other end was first
                    end.shutdown(socket.SHUT_RDWR)
        self.pairs = []


@pytest.mark.parametrize("encoding", ["json", "msgpack"])
def test_sub_goes_on_where_it_was(serve, start, encoding):
    node = serve()
    proxy = Proxy(node.port)
    url = f"ws://127.0.0.1:{proxy.port}/events?enableErrors"
    sub = start(KUJATA, "sub", url, "--resume", "--encoding", encoding, "--identity", "task")

    def heard():
        node.create(title="hello", number=-1)
        return sub.process.poll() is None and not sub.lines.empty()

    eventually(heard, what="the first event")
    last = 0
    for _ in range(5):
        publish(node, [last])
        while json.loads(sub.line())["entity"]["number"] != last:
            pass
        proxy.break_all()
        publish(node, range(last + 1, last + 20))
        numbers = [json.loads(sub.line())["entity"]["number"] for _ in range(19)]
        assert numbers == list(range(last + 1, last + 20))
        last += 20
    assert sub.stderr().count("connected again") == 5
    sub.signal()
    assert sub.wait() == 0


def test_sub_prints_that_it_could_not_go_on(serve, start):
    port = free_port()
    first = serve(listen=f"127.0.0.1:{port}")
    proxy = Proxy(port)
    sub = start(KUJATA, "sub", f"ws://127.0.0.1:{proxy.port}/events", "--resume")

    def heard():
        first.create(title="hello", number=-1)
        return not sub.lines.empty()

    eventually(heard, what="the first event")
    first.stop()
    proxy.break_all()
    second = serve(listen=f"127.0.0.1:{port}")
    line = json.loads(sub.line())
    while line["type"] != "error":
        line = json.loads(sub.line())
    assert (line["entity"]["code"], line["entity"]["title"]) == (410, "Cannot resume")
    eventually(lambda: "connected again" in sub.stderr(), what="the new session")
    # It goes on where the notice said.
    proxy.break_all()
    publish(second, [7])
    assert json.loads(sub.line())["entity"]["number"] == 7
    assert sub.stderr().count("connected again") == 2
    sub.signal()
    assert sub.wait() == 0


def test_sub_tries_again_where_too_many_connect(serve, start):
    node = serve("--rate-limit-handshakes", "1/1", "--print-counters")
    proxy = Proxy(node.port)
    sub = start(KUJATA, "sub", f"ws://127.0.0.1:{proxy.port}/events", "--resume")

    def heard():
        node.create(title="hello", number=-1)
        return not sub.lines.empty()

    eventually(heard, what="the first event")
    for times in range(1, 4):
        proxy.break_all()
        eventually(lambda: sub.stderr().count("connected again") == times, what="a new session")
    sub.signal()
    assert sub.wait() == 0
    assert node.counters()["http_ws_handshakes_rate_limited_total"] > 0


def test_a_node_that_stops_ends_sessions_that_still_go_on(serve):
    node = start(serve, "--shards", "1", "--resume-bytes", "1000000000")
    place = place_of(node)
    publish(node, range(300), title=FILLER)
    session = Session(node, f"?since={place}", config={}, receive_buffer=SMALL)
    assert session.numbers(1) == [0]
    waiting = Session(node, f"?since={place}").wait()
    counters = node.counters()
    assert waiting.message()[0] == CLOSE
    # All of the one that waited, and what the other's socket had not taken.
    assert 300 < counters["session_resume_events_left_total"] < 600
    assert counters["session_resumes_total"] == 0


# ---- places without an event ----

OWN_CIVETWEB = pytest.mark.skipif(
    os.environ.get("KUJATA_OWN_CIVETWEB") == "0", reason="the system's civetweb has its own 101"
)


@OWN_CIVETWEB
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_the_handshake_tells_where_events_begin(serve, encoding):
    node = start(serve)
    place = place_of(node)
    stream = place.rpartition("-")[0]
    ordinary = {"upgrade", "connection", "sec-websocket-accept"}
    assert set(Session(node, encoding=encoding).headers) == ordinary
    assert set(Session(node, "?enableErrors", encoding).headers) == ordinary
    new = Session(node, "?resume", encoding)
    assert set(new.headers) == ordinary | {"x-seq"}
    assert new.headers["x-seq"] == place
    publish(node, [0])
    assert new.event()["seq"] == moved(place, 1)
    assert Session(node, "?resume", encoding).headers["x-seq"] == moved(place, 1)
    # One that goes on begins where it was; one that cannot is told its place with the fault.
    assert Session(node, f"?since={stream}-0", encoding).headers["x-seq"] == f"{stream}-0"
    for since in ("", "x", "0000000000000000-1", moved(place, 9)):
        session = Session(node, f"?since={since}", encoding)
        assert set(session.headers) == ordinary
        assert session.event()["seq"] == moved(place, 1)
    off = start(serve, "--resume-events", "0")
    assert set(Session(off, "?resume", encoding).headers) == ordinary
    assert set(Session(off, f"?since={place}", encoding).headers) == ordinary


@OWN_CIVETWEB
def test_places_of_handshakes_lose_and_double_nothing(serve):
    node = start(serve, "--resume-events", "100000", "--resume-bytes", "1000000000")
    is_enough = threading.Event()

    def publish_on():
        while not is_enough.is_set():
            publish_fast(node.port, 300)

    publisher = threading.Thread(target=publish_on)
    publisher.start()
    for _ in range(20):
        staying = Session(node, "?resume")
        place = staying.headers["x-seq"]
        left = Session(node, "?resume")
        other = left.headers["x-seq"]
        left.close()
        again = Session(node, f"?since={other}", config={})
        # Of two sessions, one that was cut off at once, each begins right behind its place.
        for session, begin in ((staying, place), (again, other)):
            expected = [moved(begin, by) for by in range(1, 11)]
            assert [event["seq"] for event in session.events(10)] == expected
            session.close()
    is_enough.set()
    publisher.join()
    assert node.counters()["session_resumes_too_old_total"] == 0


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_a_session_that_little_is_for_keeps_up(serve, encoding):
    node = start(serve, "--resume-events", "40", "--limit-ping-interval-ms", "200")
    plain = Session(node, "", encoding, TASKS).wait()
    session = Session(node, "?resume", encoding, TASKS).wait()
    publish(node, [0])
    first = session.event()["seq"]
    publish(node, range(100), title="other")
    place = first
    while number_of(place) <= 101 - 40 // 4:  # nearer ones are not told
        before, place = place, session.place()
        assert number_of(before) < number_of(place) <= 101
    session.close()
    # What it had last is no longer kept, but nothing behind it was for this session.
    publish(node, [1])
    old = Session(node, f"?since={first}", encoding, TASKS)
    old.notice("too-old")
    again = Session(node, f"?since={place}", encoding, TASKS)
    assert again.numbers(1) == [1]
    assert plain.numbers(2) == [0, 1]
    counters = node.counters()
    assert counters["session_resumes_too_old_total"] == 1
    assert counters["session_positions_told_total"] >= 1


def test_namespaces_do_not_hold_a_place_back(serve, tmp_path):
    node = serve(program=with_namespaces(tmp_path, "--resume-events", "16"))
    session = Session(node, "?resume&namespace=/a").wait()
    node.create(namespace="/a", number=0)
    place = session.event()["seq"]
    session.close()
    for number in range(1, 16):
        node.create(namespace="/b", number=number)
    published = 16
    for _ in range(3):
        session = Session(node, f"?namespace=/a&since={place}", config={})
        while number_of(place) < published - 16 // 4:  # nearer ones are not told
            place = session.place()
        session.close()
        for number in range(11):
            node.create(namespace="/b", number=number)
        published += 11
    node.create(namespace="/a", number=1)
    session = Session(node, f"?namespace=/a&since={place}", config={})
    while (event := session.event())["type"] == "position":
        pass
    assert event["entity"]["number"] == 1


@OWN_CIVETWEB
def test_sub_goes_on_although_no_event_had_come(serve, start):
    node = serve("--resume-events", "8", "--limit-ping-interval-ms", "100", "--health", "127.0.0.1:0")
    health = Health(node)
    proxy = Proxy(node.port)
    url = f"ws://127.0.0.1:{proxy.port}/events"
    sub = start(KUJATA, "sub", url, "--resume", "--identity", "task")
    # A first connection that breaks before its filter is sent ends the program.
    eventually(lambda: health.sample("push_configs_total") == 1, what="the session's filter")
    proxy.break_all()
    publish(node, [0, 1])
    assert [json.loads(sub.line())["entity"]["number"] for _ in range(2)] == [0, 1]
    assert "not known" not in sub.stderr()
    # Many events that are not for it, and only those it asked for are printed.
    for turn in range(1, 4):
        eventually(lambda: sub.stderr().count("connected again") == turn, what="the session")
        for number in range(15):
            node.create("/lists", name=f"no task {number}")
        # It is told its place where that is more than two behind, and eight are kept.
        eventually(lambda: proxy.place >= 16 * turn + 1 - 2, what="a place")
        proxy.break_all()
        publish(node, [10 * turn])
        assert json.loads(sub.line())["entity"]["number"] == 10 * turn
    assert sub.stderr().count("connected again") == 4
    sub.signal()
    assert sub.wait() == 0
    assert sub.line() is None
