"""A node tells gateways of itself, and says goodbye before it stops listening."""

import time

import msgpack
import pytest
import requests

from programs import KUJATA, MODEL
from rawnats import RawNats

KEYS = [
    "APILimiters",
    "Endpoint",
    "Load",
    "Name",
    "Prefix",
    "PushEndpoint",
    "Routes",
    "Status",
    "Versions",
]


def read_ping(gateway):
    subject, reply_to, payload = gateway.message()
    publication = msgpack.unpackb(payload)
    assert publication["topic"] == subject == "services"
    assert publication["encoding"] == "application/msgpack"
    ping = msgpack.unpackb(publication["data"], strict_map_key=False)
    assert list(ping) == KEYS
    return ping, reply_to, publication


def read_goodbye(gateway):
    while True:
        ping, reply_to, publication = read_ping(gateway)
        if ping["Status"] == 0:
            return ping, reply_to, publication


def flags(broker, *more):
    return [
        *("--pubsub", broker.url),
        *("--announce-topic", "services"),
        *("--announce-endpoint", "127.0.0.1:4443"),
        "--print-counters",
        *more,
    ]


HASTY = ("--announce-goodbye-timeout-ms", "50")


def announced(serve, broker, *more):
    return serve(*flags(broker, "--announce-name", "lists", *more))


@pytest.fixture
def gateway(broker):
    client = RawNats(broker.port, "services")
    yield client
    client.close()


def test_a_hello_says_what_the_node_serves(serve, broker, gateway):
    node = announced(
        serve,
        broker,
        *("--service-version", "lists=1.2"),
        *("--rate-limit-identity", "task=50/100"),
        *("--push-endpoint", "/push"),
        *HASTY,
    )
    ping, reply_to, publication = read_ping(gateway)
    assert reply_to is None and "responseMode" not in publication
    assert ping["Status"] == 1
    assert (ping["Name"], ping["Endpoint"], ping["Prefix"]) == ("lists", "127.0.0.1:4443", "")
    assert ping["PushEndpoint"] == "/push"
    assert ping["Versions"] == {"lists": "1.2"}
    assert ping["APILimiters"] == {"tasks": {"Burst": 100, "Limit": 50.0}}
    assert isinstance(ping["Load"], float) and 0 <= ping["Load"] <= 110
    listed = node.request("GET", "/_meta/routes").json()
    assert {str(version): routes for version, routes in ping["Routes"].items()} == listed
    assert all(isinstance(version, int) for version in ping["Routes"])
    assert any(route["identity"] == "tasks" for route in ping["Routes"][0])
    gateway.publish("services", b"what others say is none of its business")


def test_hellos_go_on(serve, broker, gateway):
    announced(serve, broker, "--announce-interval-ms", "20", *HASTY)
    pings = [read_ping(gateway)[0] for _ in range(5)]
    assert [ping["Status"] for ping in pings] == [1] * 5
    assert pings[0]["APILimiters"] is None and pings[0]["Versions"] is None


def test_a_goodbye_is_acknowledged_while_the_node_still_serves(serve, broker, gateway):
    node = announced(serve, broker)
    assert read_ping(gateway)[0]["Status"] == 1
    node.signal()
    ping, reply_to, publication = read_goodbye(gateway)
    assert publication["responseMode"] == 1
    assert reply_to.startswith("_INBOX.")
    assert ping == {
        "APILimiters": None,
        "Endpoint": "127.0.0.1:4443",
        "Load": 0.0,
        "Name": "lists",
        "Prefix": "",
        "PushEndpoint": "",
        "Routes": None,
        "Status": 0,
        "Versions": None,
    }
    assert requests.get(node.url + "/tasks", timeout=30).status_code == 200
    gateway.publish(reply_to, b"ack")
    counters = node.counters()
    assert counters["announcements_goodbye_unacknowledged_total"] == 0
    assert counters["announcements_total"] >= 2
    assert counters["announcements_failed_total"] == 0


def test_a_goodbye_nobody_acknowledges_delays_the_end_and_is_counted(serve, broker, gateway):
    node = announced(serve, broker, "--announce-goodbye-timeout-ms", "300")
    assert read_ping(gateway)[0]["Status"] == 1
    assert node.counters()["announcements_goodbye_unacknowledged_total"] == 1
    assert "acknowledged the goodbye: timed out" in node.stderr()


def test_without_a_gateway_the_goodbye_does_not_wait(serve, broker):
    node = announced(serve, broker, "--announce-goodbye-timeout-ms", "100000")
    start = time.monotonic()
    assert node.counters()["announcements_goodbye_unacknowledged_total"] == 1
    assert time.monotonic() - start < 50
    assert "none is listening" in node.stderr()


def test_without_a_broker_the_node_ends_too(serve, broker):
    node = announced(serve, broker, "--announce-goodbye-timeout-ms", "200")
    broker.stop()
    assert node.counters()["announcements_goodbye_unacknowledged_total"] == 1


def test_the_service_name_is_the_default(serve, broker, gateway):
    serve(*flags(broker, "--service-name", "from policy", "--announce-prefix", "team", *HASTY))
    ping = read_ping(gateway)[0]
    assert (ping["Name"], ping["Prefix"]) == ("from policy", "team")


@pytest.mark.parametrize(
    "change, named",
    [
        (["--announce-topic", "a b", "--announce-name", "n", "--announce-endpoint", "h:1"], "topic"),
        (["--announce-topic", "a", "--announce-endpoint", "h:1"], "--announce-name"),
        (["--announce-topic", "a", "--announce-name", "n"], "--announce-endpoint"),
        (["--announce-topic", "a", "--announce-name", "n", "--announce-endpoint", "h"], "HOST:PORT"),
        (["--announce-topic", "a", "--announce-name", "n", "--announce-endpoint", "h:x"], "HOST:PORT"),
        (["--announce-topic", "a", "--announce-name", "n" * 256, "--announce-endpoint", "h:1"], "name"),
    ],
)
def test_bad_options_are_named(start, change, named):
    program = start(KUJATA, "serve", "--model", MODEL, "--listen", "127.0.0.1:0", *change)
    assert program.wait() == 2
    assert named in program.stderr()
