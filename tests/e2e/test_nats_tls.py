"""Nodes whose broker speaks TLS: who is trusted, and who is not."""

import pytest

from deadline import eventually
from pki import Authority
from programs import KUJATA, MODEL, Broker, find_broker
from rawws import RawWebSocket

pytestmark = pytest.mark.skipif(not find_broker(), reason="there is no nats-server")


@pytest.fixture
def authority(tmp_path):
    return Authority(tmp_path)


@pytest.fixture
def secure_broker(authority):
    """It asks for certificates of the authority."""
    certificate, key = authority.issue("broker")
    started = Broker(
        "--tlsverify", "--tlscert", certificate, "--tlskey", key, "--tlscacert", authority.ca
    )
    yield started
    started.stop()


def flags(broker, authority, *more):
    certificate, key = authority.issue("node")
    url = f"tls://127.0.0.1:{broker.port}"
    return (
        *("--pubsub", url, "--nats-tls-ca", authority.ca),
        *("--nats-tls-cert", certificate, "--nats-tls-key", key, *more),
    )



def test_events_travel_over_tls(serve, secure_broker, authority):
    nodes = [serve(*flags(secure_broker, authority)) for _ in range(2)]
    session = RawWebSocket(nodes[1].port)

    def heard():
        nodes[0].create(title="over TLS")
        return session.has_data(0.2)

    eventually(heard, what="an event of the other node")
    assert b"over TLS" in session.message()[1]
    assert all("is away" not in node.stderr() for node in nodes)


def test_a_name_may_be_said(serve, secure_broker, authority):
    nodes = [
        serve(*flags(secure_broker, authority, "--nats-tls-name", name))
        for name in ("localhost", "elsewhere.example")
    ]
    eventually(lambda: "is away" in nodes[1].stderr(), what="a broker of another name refused")
    session = RawWebSocket(nodes[0].port)
    nodes[0].create(title="x")
    session.message()
    assert "is away" not in nodes[0].stderr()


def test_a_foreign_broker_is_not_trusted(serve, secure_broker, authority, tmp_path):
    other = Authority(tmp_path, name="other")
    node = serve(*flags(secure_broker, authority)[:2], "--nats-tls-ca", other.ca)
    eventually(lambda: "is away" in node.stderr(), what="the broker refused")


def test_what_cannot_be_is_said(start, authority):
    for more, text in (
        (("--pubsub", "nats://127.0.0.1:1", "--nats-tls-ca", authority.ca), "not tls://"),
        (("--pubsub", "tls://127.0.0.1:1", "--nats-tls-ca", "/nowhere"), "/nowhere"),
    ):
        program = start(KUJATA, "serve", "--model", MODEL, *more)
        assert program.wait() == 2
        assert text in program.stderr()
