"""Listening on IPv6: one address, and all of them, IPv4's included."""

import json
import os
import signal
import socket

import pytest
import requests

from deadline import eventually
from pki import Authority
from programs import KUJATA
from rawws import request


def has_ipv6():
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
        return True
    except OSError:
        return False


pytestmark = pytest.mark.skipif(
    os.environ.get("KUJATA_OWN_CIVETWEB") == "0" or not has_ipv6(), reason="no IPv6"
)


def subscribe(start, node, url, *more):
    sub = start(KUJATA, "sub", url, *more)
    eventually(node.handed_over, what="the session")
    return sub


def prints(sub, title):
    assert json.loads(sub.line())["entity"]["title"] == title
    sub.signal(signal.SIGTERM)
    return sub.wait() == 0


def test_rest_and_push_on_one_address(serve, start):
    node = serve(listen="[::1]:0")
    sub = subscribe(start, node, f"ws://[::1]:{node.port}/events")
    node.create(title="heard")
    assert prints(sub, "heard")


def test_one_address_is_not_another(serve):
    node = serve(listen="[::1]:0")
    with pytest.raises(requests.ConnectionError):
        requests.get(f"http://127.0.0.1:{node.port}/tasks", timeout=10)


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]"])
def test_all_addresses_take_ipv4_in(serve, start, host):
    node = serve("--allow-all", listen="[::]:0")
    node.url = f"http://{host}:{node.port}"
    sub = subscribe(start, node, f"ws://{host}:{node.port}/events")
    node.create(title="heard")
    assert prints(sub, "heard")


def test_an_ipv4_client_of_an_ipv6_listener_has_an_ipv4_address(serve):
    """The limit per address knows it under one name, whichever way it came."""
    node = serve("--allow-all", "--limit-sessions-per-address", "1", listen="[::]:0")
    head, _ = request(node.port)
    with socket.create_connection(("127.0.0.1", node.port), timeout=30) as first:
        first.sendall(head)
        assert first.recv(12) == b"HTTP/1.1 101"
        with socket.create_connection(("127.0.0.1", node.port), timeout=30) as second:
            second.sendall(head)
            assert second.recv(12) == b"HTTP/1.1 503"
    eventually(lambda: "127.0.0.1" in node.stderr(), what="the line in the log")
    assert "ffff" not in node.stderr()


def test_tls_over_ipv6(serve, start, tmp_path):
    authority = Authority(tmp_path)
    certificate, key = authority.issue("server")
    node = serve("--tls-cert", certificate, "--tls-key", key, listen="[::1]:0")
    node.http.verify = authority.ca
    url = f"wss://[::1]:{node.port}/events"
    sub = subscribe(start, node, url, "--ca", authority.ca)
    node.create(title="heard")
    assert prints(sub, "heard")


def test_a_drawn_out_body_is_found_by_its_ipv6_address(serve):
    node = serve("--limit-exchange-timeout-ms", "300", "--limit-head-timeout-ms", "10000",
                 listen="[::1]:0")
    with socket.create_connection(("::1", node.port), timeout=30) as slow:
        slow.sendall(b"POST /tasks HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
                     b"Content-Length: 100\r\n\r\n{")
        assert slow.recv(12) == b"HTTP/1.1 408"
