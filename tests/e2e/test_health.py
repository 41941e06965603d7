"""The health listener: alive, ready, and numbers a strict parser takes."""

import json
import os
import re
import socket
import struct
import threading

import pytest
import requests
from prometheus_client.parser import text_string_to_metric_families

from deadline import eventually
from programs import Broker
from rawws import TEXT, RawWebSocket

COUNTERS = os.path.join(os.path.dirname(__file__), "..", "..", "core", "base", "counters.h")
DOCS = os.path.join(os.path.dirname(__file__), "..", "..", "docs", "metrics.md")
ROW = re.compile(r'X\(\w+,\s*"(\w+)",\s*(COUNTER|GAUGE),\s*"([^"]*)"\)')


class Health:
    """A node's health listener."""

    def __init__(self, node):
        line = node.line()
        match = re.fullmatch(r"kujata: health on http://127\.0\.0\.1:(\d+)", line or "")
        assert match, line
        self.port = int(match[1])
        self.http = requests.Session()
        self.http.trust_env = False

    def request(self, path, method="GET"):
        return self.http.request(method, f"http://127.0.0.1:{self.port}{path}", timeout=10)

    def families(self):
        answer = self.request("/metrics")
        assert answer.status_code == 200
        assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
        return {family.name: family for family in strictly(answer.text)}

    def sample(self, name, **labels):
        """The value of one sample; 0 when there is none."""
        for family in self.families().values():
            for sample in family.samples:
                if sample.name == name and sample.labels == labels:
                    return sample.value
        return 0


def strictly(text):
    """Parses, and insists on what Prometheus promises: each family once, with help and type,
    each sample once, everything on lines that end."""
    assert text.endswith("\n")
    heads = re.findall(r"^# (HELP|TYPE) (\S+) (.+)$", text, re.M)
    helps = [name for kind, name, _ in heads if kind == "HELP"]
    types = [name for kind, name, _ in heads if kind == "TYPE"]
    assert helps == types
    assert len(set(helps)) == len(helps)
    families = list(text_string_to_metric_families(text))
    assert len(families) == len(helps)
    seen = set()
    for family in families:
        assert family.documentation
        assert family.type in ("counter", "gauge", "summary", "histogram")
        for sample in family.samples:
            key = (sample.name, tuple(sorted(sample.labels.items())))
            assert key not in seen
            seen.add(key)
            assert sample.name.startswith(family.name)
    return families


@pytest.fixture
def healthy(serve):
    """healthy(*flags) starts a node with a health listener."""

    def start(*flags, **options):
        node = serve("--health", "127.0.0.1:0", *flags, **options)
        return node, Health(node)

    return start


def test_it_says_alive_and_ready_to_get_alone(healthy):
    _, health = healthy()
    assert [health.request(path).status_code for path in ("/", "/ready")] == [204, 204]
    for path in ("/nope", "/metrics/", "/ready/x"):
        assert health.request(path).status_code == 404
    for method in ("HEAD", "POST", "PUT", "DELETE", "OPTIONS"):
        answer = health.request("/", method)
        assert (answer.status_code, answer.headers["Allow"]) == (405, "GET")
        assert answer.headers["Content-Type"].startswith("text/plain")


def counter_rows():
    with open(COUNTERS, encoding="utf-8") as file:
        rows = ROW.findall(file.read().replace("\\\n", " "))
    assert len(rows) > 40
    return {name: (kind.lower(), text) for name, kind, text in rows}


def test_every_counter_appears_with_its_kind_and_help(healthy):
    _, health = healthy()
    families = health.families()
    for name, (kind, text) in counter_rows().items():
        # The parser takes the suffix off a counter's name.
        family = families[name.removesuffix("_total") if kind == "counter" else name]
        assert (family.type, family.documentation) == (kind, text)


def test_every_metric_is_in_the_documentation(healthy):
    _, health = healthy()
    with open(DOCS, encoding="utf-8") as file:
        documented = set(re.findall(r"^\| `(\w+)`", file.read(), re.M))
    told = re.findall(r"^# TYPE (\S+)", health.request("/metrics").text, re.M)
    assert documented == set(told)


def test_requests_count_by_shape(healthy):
    node, health = healthy()
    made = node.create("/lists", name="a")
    node.request("GET", f"/lists/{made['ID']}")
    node.request("GET", f"/v/1/lists/{made['ID']}")
    node.request("GET", "/lists/nobody")
    for unknown in ("/nope", "/nope/1/2/3/4", "/x%00", '/"'):
        node.request("GET", unknown)
    node.request("BREW", "/lists")
    one = {"method": "GET", "url": "/lists/:id"}
    assert health.sample("http_requests_total", method="POST", url="/lists", code="200") == 1
    assert health.sample("http_requests_total", **one, code="200") == 2
    assert health.sample("http_requests_total", **one, code="404") == 1
    assert health.sample("http_requests_duration_seconds_count", **one) == 3
    quantile = health.sample("http_requests_duration_seconds", **one, quantile="0.99")
    assert 0 < quantile < 5
    urls = {
        sample.labels["url"]
        for sample in health.families()["http_requests"].samples
        if sample.labels["method"] in ("GET", "POST")
    }
    assert urls == {"/lists", "/lists/:id", "other"}


def test_numbers_move_with_sessions_and_events(healthy):
    node, health = healthy("--shards", "2")
    sessions = [RawWebSocket(node.port) for _ in range(4)]
    eventually(lambda: health.sample("http_ws_connections_current") == 4, what="four sessions")
    eventually(
        lambda: [health.sample("shard_sessions_current", shard=str(i)) for i in (0, 1)] == [2, 2],
        what="sessions by shard",
    )
    assert health.sample("tcp_connections_current") >= 4
    for number in range(10):
        node.create(title=str(number))
    for session in sessions:
        for _ in range(10):
            session.message()
    eventually(lambda: health.sample("events_queued_total") == 40, what="events counted")
    dispatch = "dispatch_duration_seconds"
    eventually(lambda: health.sample(f"{dispatch}_count") == 20, what="dispatches measured")
    assert health.sample(f"{dispatch}_bucket", le="+Inf") == 20
    assert 0 < health.sample(f"{dispatch}_sum") < 20
    for session in sessions:
        session.close()
    eventually(lambda: health.sample("http_ws_connections_current") == 0, what="no session")
    assert health.sample("http_ws_connections_total") == 4
    assert health.sample("process_open_fds") > 10
    assert health.sample("process_max_fds") >= health.sample("process_open_fds")
    assert health.sample("process_threads") == node.threads()
    assert health.sample("process_resident_memory_bytes") > 1 << 20


def test_what_waits_for_a_deaf_session_is_shown(healthy):
    node, health = healthy("--shards", "1")
    deaf = RawWebSocket(node.port, receive_buffer=4096)
    text = "x" * 16384

    def waits():
        node.create("/lists", name="a", description=text)
        return health.sample("shard_queue_bytes_current", shard="0") > 2 * len(text)

    eventually(waits, what="a backlog")
    assert health.sample("shard_queue_messages_current", shard="0") >= 2
    linger = struct.pack("ii", 1, 0)
    deaf.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    deaf.close()
    eventually(
        lambda: health.sample("shard_queue_bytes_current", shard="0") == 0, what="nothing waits"
    )
    assert health.sample("shard_queue_messages_current", shard="0") == 0


def test_it_answers_while_every_worker_is_held(healthy):
    node, health = healthy("--http-threads", "2")
    head = b"POST /tasks HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n"
    holders = [socket.create_connection(("127.0.0.1", node.port)) for _ in range(2)]
    for holder in holders:
        holder.sendall(head)
    eventually(lambda: health.sample("http_connections_current") >= 2, what="workers held")
    # Silent connections to itself do not stop it either.
    holders += [socket.create_connection(("127.0.0.1", health.port)) for _ in range(20)]
    assert health.request("/").status_code == 204
    for holder in holders:
        holder.close()


def test_it_stays_exact_under_load(healthy):
    node, health = healthy()
    session = RawWebSocket(node.port)
    session.send(TEXT, json.dumps({"identities": {"list": None}}).encode())
    done = threading.Event()
    made = []

    def work():
        while not done.is_set():
            made.append(node.create(title="t")["ID"])

    worker = threading.Thread(target=work)
    worker.start()
    last = 0
    for _ in range(30):
        count = health.sample("http_requests_total", method="POST", url="/tasks", code="200")
        assert count >= last
        last = count
    done.set()
    worker.join()
    labels = {"method": "POST", "url": "/tasks"}
    assert health.sample("http_requests_total", **labels, code="200") == len(made)
    session.close()


def test_it_is_not_ready_without_its_broker(healthy, broker):
    _, health = healthy("--pubsub", broker.url)
    eventually(lambda: health.request("/ready").status_code == 204, what="ready")
    broker.stop()
    eventually(lambda: health.request("/ready").status_code == 503, what="not ready")
    assert health.request("/").status_code == 204
    again = Broker(port=broker.port)
    try:
        eventually(lambda: health.request("/ready").status_code == 204, what="ready again")
    finally:
        again.stop()


def test_the_numbers_of_the_backend_are_among_the_others(healthy, broker):
    node, health = healthy("--pubsub", broker.url, "--print-counters")
    eventually(lambda: health.request("/ready").status_code == 204, what="ready")
    node.create("/lists", name="a")
    # Once for the node's own subscription to what it publishes.
    eventually(lambda: health.sample("pubsub_delivered_total") == 1, what="delivered")
    assert health.sample("pubsub_published_total") == 1
    broker.stop()
    eventually(lambda: health.sample("pubsub_disconnects_total") == 1, what="a lost broker")
    counters = node.counters()
    assert counters["pubsub_published_total"] == 1
    assert counters["pubsub_dropped_total"] == 0


def test_it_is_not_ready_while_it_drains(healthy):
    node, health = healthy("--limit-close-timeout-ms", "3000")
    session = RawWebSocket(node.port)  # never answers the close, and so keeps the node waiting
    node.signal()
    eventually(lambda: health.request("/ready").status_code == 503, what="not ready")
    assert health.request("/").status_code == 204
    session.close()
