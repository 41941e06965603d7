"""What a node asks of its HTTP clients: answers byte for byte, as bahamut gave them."""

import concurrent.futures
import gzip
import itertools
import json
import re
import socket

import pytest

from deadline import eventually
from programs import KUJATA, MODEL, Program
from rawws import RawWebSocket, Refused

ACCEPT = "Accept: application/msgpack,application/json\r\n"
JSON_TYPE = "Content-Type: application/json; charset=UTF-8\r\n"
VARY = "Vary: Accept-Encoding\r\n"
COUNT = "X-Count-Total: 0\r\n"
EXPOSE = (
    "Access-Control-Expose-Headers: X-Requested-With, X-Count-Total, X-Namespace, X-Messages, "
    "X-Fields, X-Next\r\n"
)


def raw(port, target, headers="", method="GET", body=""):
    """The answer on a connection of its own, without what varies."""
    with socket.create_connection(("127.0.0.1", port), timeout=10.0) as connection:
        length = f"Content-Length: {len(body)}\r\n" if body else ""
        connection.sendall(
            f"{method} {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
            f"{headers}{length}\r\n{body}".encode()
        )
        answer = b""
        while chunk := connection.recv(65536):
            answer += chunk
    answer = re.sub(rb"Date: [^\r]*\r\n", b"", answer.replace(b"Connection: close\r\n", b""))
    return re.sub(rb'"trace":"[-0-9a-f]{36}"', b'"trace":"unknown"', answer)


def status(port, target, **how):
    return int(raw(port, target, **how).split(b" ")[1])


def lengthened(text, body):
    """The answer whose body has bahamut's trace, and ours its length."""
    longer = len(body) + (29 if '"trace":"unknown"' in body else 0)
    return f"{text}Content-Length: {longer}\r\n\r\n{body}".encode()


# ---- compression ----


def test_long_answers_are_compressed_for_those_who_ask(serve):
    node = serve()
    made = node.create(title="x" * 5000)
    path = f"/tasks/{made['ID']}"
    plain = raw(node.port, path)
    packed = raw(node.port, path, headers="Accept-Encoding: deflate, gzip;q=0.5\r\n")
    head, _, body = packed.partition(b"\r\n\r\n")
    assert gzip.decompress(body) == plain.partition(b"\r\n\r\n")[2]
    assert head.decode() + "\r\n" == (
        "HTTP/1.1 200 OK\r\n"
        + ACCEPT
        + "Content-Encoding: gzip\r\n"
        + JSON_TYPE
        + VARY
        + COUNT
        + f"Content-Length: {len(body)}\r\n"
    )
    assert b"Content-Encoding" not in plain
    for refusal in ("gzip;q=0", "identity", "*"):
        assert raw(node.port, path, headers=f"Accept-Encoding: {refusal}\r\n") == plain


def test_only_the_api_is_compressed(serve):
    node = serve("--service-name", "n" * 3000)
    for target in ("/_meta/name", "/a/b/c/d/e/f" + "g" * 3000):
        answer = raw(node.port, target, headers="Accept-Encoding: gzip\r\n")
        assert b"Vary" not in answer and b"Content-Encoding" not in answer


def test_compression_can_be_turned_off(serve):
    node = serve("--no-compression")
    made = node.create(title="x" * 5000)
    answer = raw(node.port, f"/tasks/{made['ID']}", headers="Accept-Encoding: gzip\r\n")
    assert b"Vary" not in answer and b"Content-Encoding" not in answer


def test_many_workers_compress_at_once(serve):
    node = serve()
    made = [node.create(title=letter * 20000) for letter in "abcdefgh"]

    def read(task):
        for _ in range(20):
            answer = raw(node.port, f"/tasks/{task['ID']}", headers="Accept-Encoding: gzip\r\n")
            assert json.loads(gzip.decompress(answer.partition(b"\r\n\r\n")[2])) == task

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        list(pool.map(read, made))


# ---- CORS ----

ORIGIN = "Origin: http://o.example\r\n"


def test_preflights_are_answered_as_by_bahamut(serve):
    node = serve("--cors-origin", "mirror")
    expected = (
        "HTTP/1.1 200 OK\r\n" + ACCEPT + "Access-Control-Allow-Credentials: true\r\n"
        "Access-Control-Allow-Headers: Authorization, Accept, Content-Type, Cache-Control, Cookie, "
        "If-Modified-Since, X-Requested-With, X-Count-Total, X-Namespace, X-External-Tracking-Type,"
        " X-External-Tracking-ID, X-TLS-Client-Certificate, Accept-Encoding, X-Fields, "
        "X-Read-Consistency, X-Write-Consistency, Idempotency-Key\r\n"
        "Access-Control-Allow-Methods: GET, POST, PUT, DELETE, PATCH, HEAD, OPTIONS\r\n"
        "Access-Control-Allow-Origin: http://o.example\r\n"
        + EXPOSE + "Access-Control-Max-Age: 1500\r\n" + JSON_TYPE
    )
    headers = ORIGIN + "Access-Control-Request-Method: POST\r\n"
    for target in ("/v/1/lists", "/", "/events", "/no/route/at/all"):
        answer = raw(node.port, target, headers=headers, method="OPTIONS")
        assert answer == lengthened(expected, "")


def test_answers_and_unknown_paths_with_cors_are_those_of_bahamut(serve):
    node = serve("--cors-origin", "mirror")
    assert raw(node.port, "/v/1/tasks", headers=ORIGIN) == lengthened(
        "HTTP/1.1 200 OK\r\n" + ACCEPT + "Access-Control-Allow-Credentials: true\r\n"
        "Access-Control-Allow-Origin: http://o.example\r\n" + EXPOSE + JSON_TYPE + VARY + COUNT,
        "[]",
    )
    bare = lengthened("HTTP/1.1 405 Method Not Allowed\r\n", "")
    assert raw(node.port, "/a/b/c/d/e/f", headers=ORIGIN) == bare


def test_listed_origins_are_told_apart_from_others(serve):
    node = serve("--cors-origin", "http://a.example", "--cors-also", "http://b.example")
    for origin, allowed in (
        ("http://b.example", "http://b.example"),
        ("http://c.example", "http://a.example"),
    ):
        answer = raw(node.port, "/tasks", headers=f"Origin: {origin}\r\n")
        assert f"\r\nAccess-Control-Allow-Origin: {allowed}\r\n".encode() in answer


def test_options_without_cors_is_answered_by_nobody_else(serve):
    node = serve()
    bare = lengthened("HTTP/1.1 405 Method Not Allowed\r\n", "")
    headers = ORIGIN + "Access-Control-Request-Method: POST\r\n"
    assert raw(node.port, "/v/1/lists", headers=headers, method="OPTIONS") == bare


def test_cors_opens_no_session(serve):
    node = serve("--cors-origin", "mirror")
    with pytest.raises(Refused) as refused:
        RawWebSocket(node.port, headers={"Origin": "http://o.example"})
    assert refused.value.status == 403


# ---- rates ----

TOO_MANY = (
    '[{"code":429,"description":"You have exceeded your rate limit","subject":"bahamut",'
    '"title":"Rate Limit","trace":"unknown"}]'
)


def until_refused(call):
    """The answer that is not 200; before it, a second may have brought a token."""
    return eventually(lambda: (answer := call())[9:12] != b"200" and answer, what="a refusal")


def test_beyond_the_rate_calls_are_refused_as_by_bahamut(serve):
    node = serve("--rate-limit", "1/5", "--print-counters")
    statuses = [status(node.port, "/tasks") for _ in range(5)]
    assert statuses == [200] * 5
    assert until_refused(lambda: raw(node.port, "/tasks")) == lengthened(
        "HTTP/1.1 429 Too Many Requests\r\n"
        + ACCEPT
        + JSON_TYPE
        + "Retry-After: 1\r\n"
        + VARY
        + COUNT,
        TOO_MANY,
    )
    assert status(node.port, "/") == 200
    eventually(lambda: status(node.port, "/tasks") == 200, what="a token comes")
    assert "--rate-limit" in node.stderr()
    assert node.counters()["http_requests_rate_limited_total"] >= 1


def test_identities_have_rates_of_their_own(serve):
    node = serve("--rate-limit-identity", "task=1/1", "--rate-limit-identity", "list=1/2")
    for path, burst in (("/tasks", 1), ("/lists", 2)):
        assert [status(node.port, path) for _ in range(burst)] == [200] * burst
        assert until_refused(lambda path=path: raw(node.port, path)).startswith(b"HTTP/1.1 429 ")


def refused_handshake(port, **how):
    try:
        RawWebSocket(port, **how).close()
    except Refused as refused:
        return refused
    return None


def test_handshakes_have_a_rate(serve):
    node = serve("--rate-limit-handshakes", "1/3", "--print-counters")
    assert [refused_handshake(node.port) for _ in range(3)] == [None] * 3
    refused = eventually(lambda: refused_handshake(node.port), what="a refusal")
    assert refused.status == 429
    assert refused.headers["retry-after"] == "1"
    in_msgpack = {"Accept": "application/msgpack"}
    packed = eventually(lambda: refused_handshake(node.port, headers=in_msgpack), what="another")
    assert packed.headers["content-type"] == "application/msgpack"
    assert json.loads(refused.body)[0]["title"] == "Rate Limit"
    assert status(node.port, "/tasks") == 200
    eventually(lambda: refused_handshake(node.port) is None, what="a token comes")
    counters = node.counters()
    assert counters["http_ws_handshakes_rate_limited_total"] >= 1
    assert counters["http_ws_handshakes_refused_total"] >= 1


def test_handshakes_of_each_address_have_a_rate(serve):
    node = serve(
        "--rate-limit-handshakes-per-address", "1/1", "--trusted-proxy", "127.0.0.0/8"
    )

    def come_from(address):
        return refused_handshake(node.port, headers={"X-Forwarded-For": address})

    assert come_from("198.51.100.1") is None
    assert come_from("198.51.100.2") is None
    assert eventually(lambda: come_from("198.51.100.1"), what="a refusal").status == 429
    assert come_from("2001:db8::1") is None
    # The same network; each address by itself would have had a token.
    others = (f"2001:db8::{number:x}" for number in itertools.count(2))
    assert eventually(lambda: come_from(next(others)), what="a refusal").status == 429


# ---- read-only ----


def test_read_only_refuses_writes_as_bahamut_does(serve):
    node = serve("--read-only", "--read-only-except", "list", "--print-counters")
    locked = lengthened(
        "HTTP/1.1 423 Locked\r\n" + ACCEPT + JSON_TYPE + VARY + COUNT,
        '[{"code":423,"description":"This api is currently locked. Please try again later",'
        '"subject":"bahamut","title":"Locked","trace":"unknown"}]',
    )
    json_body = {"headers": "Content-Type: application/json\r\n", "body": '{"title":"a"}'}
    assert raw(node.port, "/v/1/tasks", method="POST", **json_body) == locked
    assert raw(node.port, "/tasks/1", method="DELETE") == locked
    assert status(node.port, "/tasks") == 200
    node.create("/lists", name="writable")
    assert node.counters()["http_requests_locked_total"] == 2


# ---- what the node tells of itself ----


def test_meta_is_that_of_bahamut(serve):
    node = serve("--service-name", "bahamut-bench", "--service-version", "bench=1.0")
    assert raw(node.port, "/_meta/name") == lengthened(
        "HTTP/1.1 200 OK\r\n" + ACCEPT + "Content-Type: text/plain\r\n", "bahamut-bench"
    )
    assert raw(node.port, "/_meta/version") == lengthened(
        "HTTP/1.1 200 OK\r\n" + ACCEPT + JSON_TYPE, '{\n    "bench": "1.0"\n}'
    )
    routes = (
        '[{"identity":"lists","url":"/lists","verbs":["GET","POST"]},'
        '{"identity":"lists","url":"/lists/:id","verbs":["DELETE","GET","PUT"]},'
        '{"identity":"tasks","url":"/lists/:id/tasks","verbs":["GET","POST"]},'
        '{"identity":"tasks","url":"/tasks","verbs":["GET","POST"]},'
        '{"identity":"tasks","url":"/tasks/:id","verbs":["DELETE","GET","PUT"]}]'
    )
    assert raw(node.port, "/_meta/routes") == lengthened(
        "HTTP/1.1 200 OK\r\n" + ACCEPT + JSON_TYPE, f'{{"0":{routes},"1":{routes}}}'
    )
    head = raw(node.port, "/_meta/name", method="HEAD")
    assert head.endswith(b"Content-Length: 13\r\n\r\n")


def test_meta_tells_what_it_is_told_to(serve):
    node = serve("--no-meta-routes")
    for name in ("name", "version", "routes"):
        assert status(node.port, "/_meta/" + name) == 405  # /CATEGORY/ID, as in bahamut


def test_root_is_what_it_is_told_to_be(serve, tmp_path):
    assert raw(serve().port, "/") == lengthened("HTTP/1.1 200 OK\r\n", "")
    page = tmp_path / "index.html"
    page.write_text("<h1>Kujata</h1>")
    answer = raw(serve("--root-file", str(page)).port, "/")
    assert b"\r\nContent-Type: text/html; charset=utf-8\r\n" in answer
    assert answer.endswith(b"\r\n\r\n<h1>Kujata</h1>")
    answer = raw(serve("--root-redirect", "/console").port, "/")
    assert answer.startswith(b"HTTP/1.1 302 Found\r\n") and b"\r\nLocation: /console\r\n" in answer


# ---- prefix ----


def test_api_lies_behind_its_prefix_and_all_else_does_not(serve):
    node = serve("--api-prefix", "/api")
    assert raw(node.port, "/api/v/1/tasks") == lengthened(
        "HTTP/1.1 200 OK\r\n" + ACCEPT + JSON_TYPE + VARY + COUNT, "[]"
    )
    assert raw(node.port, "/v/1/tasks") == lengthened(
        "HTTP/1.1 404 Not Found\r\n" + ACCEPT + JSON_TYPE + COUNT,
        '[{"code":404,"description":"Unable to find the requested resource","subject":"bahamut",'
        '"title":"Not Found","trace":"unknown"}]',
    )
    assert status(node.port, "/_meta/routes") == 200
    session = RawWebSocket(node.port)
    node.create("/api/tasks", title="heard")
    assert b"heard" in session.message()[1]
    session.close()


# ---- proxies ----


def test_only_proxies_may_say_for_whom_they_ask(serve):
    node = serve(
        "--trusted-proxy", "127.0.0.2", "--limit-sessions-per-address", "1", "--print-counters"
    )
    told = {"X-Forwarded-For": "198.51.100.1"}
    first = RawWebSocket(node.port, headers=told)  # of 127.0.0.1, whatever it says
    told["X-Forwarded-For"] = "198.51.100.2"
    with pytest.raises(Refused) as refused:
        RawWebSocket(node.port, headers=told)
    assert refused.value.status == 503
    first.close()


def test_a_proxy_says_for_whom_it_asks(serve):
    node = serve("--trusted-proxy", "127.0.0.0/8", "--rate-limit", "1/1")
    hops = "X-Forwarded-For: 6.6.6.6, 198.51.100.1\r\nX-Forwarded-For: 127.0.0.9\r\n"
    eventually(lambda: status(node.port, "/tasks", headers=hops) == 429, what="no token is left")
    assert "a request of 198.51.100.1 was refused" in node.stderr()


# ---- flags ----


@pytest.mark.parametrize(
    "flags",
    [
        ("--rate-limit", "0"),
        ("--rate-limit", "5/"),
        ("--rate-limit", "5/0"),
        ("--rate-limit", "99999999"),
        ("--rate-limit-identity", "task"),
        ("--rate-limit-identity", "nothing=5"),
        ("--rate-limit-handshakes", "x"),
        ("--cors-origin", "o.example"),
        ("--cors-also", "http://o.example"),
        ("--read-only-except", "nothing"),
        ("--service-version", "1.0"),
        ("--api-prefix", "/api/"),
        ("--root-file", "/nowhere/at/all"),
        ("--root-type", "text/plain"),
        ("--trusted-proxy", "10.0.0.0/33"),
        ("--api-prefix", "/api", "--push-endpoint", "/api/tasks"),
    ],
)
def test_bad_flags_are_a_usage_error(flags):
    program = Program(KUJATA, "serve", "--model", MODEL, "--listen", "127.0.0.1:0", *flags)
    assert program.wait() == 2
    assert len(program.stderr().splitlines()) == 1


def test_a_stop_waits_for_no_kept_connection(serve):
    node = serve("--limit-keep-alive-ms", "3600000", "--health", "127.0.0.1:0")
    health = int(re.search(r":(\d+)$", node.line())[1])
    kept = [socket.create_connection(("127.0.0.1", port), timeout=30)
            for port in (node.port, health)]  # fmt: skip
    for connection in kept:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert connection.recv(65536)
    node.stop()
    assert [connection.recv(1) for connection in kept] == [b"", b""]
