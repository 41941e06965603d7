"""The API listener: who gets in, what it does not serve, and what is told of it."""

import os
import subprocess

import pytest

from api import KEY, Api, api_flags
from pki import Authority
from programs import KUJATA, MODEL
from test_health import Health

CLIENTS = ("--gateway", "--gateway-open")  # without them the program has no use for the API


def refused(*flags):
    """What the program says to flags it does not take."""
    done = subprocess.run(
        [KUJATA, "serve", "--model", MODEL, "--listen", "127.0.0.1:0", *CLIENTS, *flags],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 2, (done.returncode, done.stderr)
    return done.stderr


def test_every_path_needs_a_key(serve):
    node = serve(*CLIENTS, *api_flags(), "--print-counters")
    api = Api(node)
    for headers in ({"Authorization": ""}, {"Authorization": "Bearer wrong"}, {"Authorization": KEY}):
        for path in ("/", "/v1/push", "/tasks", "/_meta/routes"):
            answer = api.get(path, headers=headers)
            assert answer.status_code == 401, path
            assert answer.headers["WWW-Authenticate"] == "Bearer"
            assert set(answer.json()) == {"error"}
    counters = node.counters()
    assert counters["api_keys_refused_total"] == 12
    assert counters["route_requests_total"] == 12


def test_nothing_of_the_model_is_there(serve):
    node = serve(*CLIENTS, *api_flags())
    api = Api(node)
    for path in ("/", "/tasks", "/events", "/_meta/routes", "/metrics"):
        answer = api.get(path)
        assert answer.status_code == 404, path
        assert answer.json() == {"error": "There is no such path"}
    assert node.request("GET", "/tasks").status_code == 200


def test_keys_come_from_a_file_too(serve, tmp_path):
    path = tmp_path / "keys"
    path.write_text("# ours\n\n  one-key  \r\n\tanother-key\n")
    node = serve(*CLIENTS, "--api", "127.0.0.1:0", "--api-key-file", str(path), "--api-key", "third-key")
    api = Api(node, key=None)
    for key, status in (("one-key", 404), ("another-key", 404), ("third-key", 404), ("# ours", 401)):
        assert api.get("/", headers={"Authorization": f"Bearer {key}"}).status_code == status, key


def test_an_open_api_is_meant(serve):
    node = serve(*CLIENTS, "--api", "127.0.0.1:0", "--api-open")
    assert Api(node, key=None).get("/").status_code == 404


def test_faults_are_named(tmp_path):
    empty = tmp_path / "empty"
    empty.write_text("# nothing\n")
    large = tmp_path / "large"
    large.write_text("k\n" * 40000)
    many = tmp_path / "many"
    many.write_text("".join(f"key{i}\n" for i in range(257)))
    api = ("--api", "127.0.0.1:0")
    assert "--api-open" in refused(*api)
    assert "--api" in refused("--api-key", "a")
    assert "--api-open" in refused(*api, "--api-open", "--api-key", "a")
    assert "--api-key" in refused(*api, "--api-key", "a b")
    assert "has no key" in refused(*api, "--api-key-file", str(empty))
    assert "65536 bytes" in refused(*api, "--api-key-file", str(large))
    assert "more than 256" in refused(*api, "--api-key-file", str(many))
    assert str(tmp_path / "none") in refused(*api, "--api-key-file", str(tmp_path / "none"))


def test_requests_are_counted_and_make_no_rows(serve):
    node = serve(*CLIENTS, *api_flags(), "--health", "127.0.0.1:0")
    health = Health(node)
    api = Api(node)
    for number in range(20):
        assert api.get(f"/path{number}").status_code == 404
    assert health.sample("http_requests_total", method="GET", url="other", code="404") == 20
    assert health.sample("route_requests_total") == 20


@pytest.mark.skipif(os.environ.get("KUJATA_OWN_CIVETWEB") == "0", reason="a civetweb without TLS")
def test_keys_travel_encrypted_where_the_server_speaks_tls(serve, tmp_path):
    authority = Authority(tmp_path)
    certificate, key = authority.issue("server")
    node = serve(
        "--tls-cert", certificate, "--tls-key", key, "--tls-client-ca", authority.ca,
        *CLIENTS, *api_flags()
    )
    api = Api(node)
    assert api.url.startswith("https://")
    api.http.verify = authority.ca
    assert api.get("/").status_code == 404  # no certificate of the client's is asked for
