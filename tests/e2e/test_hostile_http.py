"""Requests that are not what they seem, drawn out or broken off; others are still served."""

import contextlib
import json
import os
import socket
import struct
import threading
import time

import pytest

from deadline import eventually
from rawws import TEXT, RawWebSocket, Refused, frame, request
from test_health import Health

OWN_CIVETWEB = pytest.mark.skipif(
    os.environ.get("KUJATA_OWN_CIVETWEB") == "0", reason="the system's civetweb is more lenient"
)

HEAD = b"Host: x\r\nContent-Type: application/json\r\n"
BODY = b'{"title":"a"}'


def exchange(port, data, seconds=10.0):
    """Everything the server answers until it closes the connection."""
    with socket.create_connection(("127.0.0.1", port), timeout=seconds) as connection:
        connection.sendall(data)
        answer = b""
        while chunk := connection.recv(65536):
            answer += chunk
        return answer


DOUBTFUL_LENGTHS = {
    "two lengths": b"Content-Length: 13\r\nContent-Length: 13\r\n\r\n",
    "two lengths that differ": b"Content-Length: 13\r\nContent-Length: 0\r\n\r\n",
    "a list of lengths": b"Content-Length: 13, 50\r\n\r\n",
    "a length with a letter": b"Content-Length: 13x\r\n\r\n",
    "a negative length": b"Content-Length: -1\r\n\r\n",
    "a length and a coding": b"Content-Length: 13\r\nTransfer-Encoding: chunked\r\n\r\n",
    "two codings": b"Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n\r\n",
    "an unknown coding": b"Transfer-Encoding: gzip, chunked\r\n\r\n",
}


@pytest.mark.parametrize("lines", DOUBTFUL_LENGTHS.values(), ids=DOUBTFUL_LENGTHS.keys())
def test_where_a_body_ends_is_no_matter_of_opinion(node, lines):
    answer = exchange(node.port, b"POST /tasks HTTP/1.1\r\n" + HEAD + lines + BODY)
    assert answer.startswith((b"HTTP/1.1 400 ", b"HTTP/1.1 411 "))
    assert answer.count(b"HTTP/1.1") == 1  # and nothing behind it is taken for a request


GET = b"GET /tasks HTTP/1.1\r\nHost: x\r\n"

# What one server reads out of these, another may not.
DOUBTFUL_HEADS = {
    "a space before a colon": b"GET /tasks HTTP/1.1\r\nHost: x\r\nContent-Length : 5\r\n\r\n",
    "a folded line": GET + b"A: b\r\n c\r\nContent-Length: 5\r\n\r\n",
    "a folded first line": b"GET /tasks HTTP/1.1\r\n Host: x\r\n\r\n",
    "a line that ends in LF": GET + b"A: b\nContent-Length: 5\r\n\r\n",
    "a request line that ends in LF": b"GET /tasks HTTP/1.1\nHost: x\r\n\r\n",
    "a head that ends in LF": b"GET /tasks HTTP/1.1\nHost: x\n\n",
    "a CR within a line": GET + b"A: b\rContent-Length: 5\r\n\r\n",
    "a NUL": GET + b"A: b\0\r\nContent-Length: 5\r\n\r\n",
    "a header without a name": GET + b": b\r\nContent-Length: 5\r\n\r\n",
    "a line without a colon": GET + b"Content-Length\r\n\r\n",
    "more headers than are kept": GET
    + b"".join(b"A%d: b\r\n" % i for i in range(70))
    + b"Content-Length: 5\r\n\r\n",
    "two spaces in the request line": b"GET  /tasks HTTP/1.1\r\nHost: x\r\n\r\n",
    "a line end in the request line": b"GET \r\n/tasks HTTP/1.1\r\nHost: x\r\n\r\n",
    "a URL whose path is in its query": b"GET http://x?a=/tasks HTTP/1.1\r\nHost: x\r\n\r\n",
    "two hosts": GET + b"Host: y\r\n\r\n",
    "a host as the target": b"CONNECT x:443 HTTP/1.1\r\nHost: x\r\n\r\n",
}


@OWN_CIVETWEB
@pytest.mark.parametrize("head", DOUBTFUL_HEADS.values(), ids=DOUBTFUL_HEADS.keys())
def test_what_a_head_says_is_no_matter_of_opinion(node, head):
    answer = exchange(node.port, head)
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"\r\nConnection: close\r\n" in answer
    assert answer.count(b"HTTP/1.1") == 1


DOUBTFUL_CHUNKS = {
    "an extension": b"d;a=b\r\n" + BODY + b"\r\n0\r\n\r\n",
    "a size that ends in LF": b"d\n" + BODY + b"\r\n0\r\n\r\n",
    "a size with a sign": b"+d\r\n" + BODY + b"\r\n0\r\n\r\n",
    "a size with a prefix": b"0xd\r\n" + BODY + b"\r\n0\r\n\r\n",
    "a size with many digits": b"0" * 40 + b"d\r\n" + BODY + b"\r\n0\r\n\r\n",
    "a size of more than 64 bits": b"1000000000000000d\r\n" + BODY + b"\r\n0\r\n\r\n",
    "a size that is negative": b"8000000000000000\r\n" + BODY + b"\r\n0\r\n\r\n",
    "a chunk longer than its size": b"c\r\n" + BODY + b"\r\n0\r\n\r\n",
    "a trailer": b"d\r\n" + BODY + b"\r\n0\r\nContent-Length: 5\r\n\r\n",
}


@OWN_CIVETWEB
@pytest.mark.parametrize("chunks", DOUBTFUL_CHUNKS.values(), ids=DOUBTFUL_CHUNKS.keys())
def test_where_a_chunk_ends_is_no_matter_of_opinion(node, chunks):
    coding = b"Transfer-Encoding: chunked\r\n\r\n"
    answer = exchange(node.port, b"POST /tasks HTTP/1.1\r\n" + HEAD + coding + chunks)
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert answer.count(b"HTTP/1.1") == 1


@OWN_CIVETWEB
def test_every_refused_request_is_counted(serve):
    node = serve("--print-counters")
    exchange(node.port, GET + b"A : b\r\n\r\n")
    exchange(node.port, b"POST /tasks HTTP/1.1\r\n" + HEAD + b"Content-Length: x\r\n\r\n")
    assert node.counters()["http_malformed_total"] == 2


@OWN_CIVETWEB
@pytest.mark.parametrize(
    "target, status",
    [
        (b"GET http://x/tasks?page=1", b"200"),
        (b"GET http://elsewhere:81/tasks", b"200"),
        (b"GET http://x/nothing/here/at/all", b"404"),
        (b"GET *", b"404"),
        (b"FOO /tasks", b"405"),
        (b"TRACE /tasks", b"405"),
    ],
)
def test_unusual_requests_are_answered(node, target, status):
    answer = exchange(node.port, target + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 " + status)


def test_chunked_bodies_are_read(node):
    answer = exchange(
        node.port,
        b"POST /tasks HTTP/1.1\r\nConnection: close\r\n"
        + HEAD
        + b"Transfer-Encoding: chunked\r\n\r\nd\r\n"
        + BODY
        + b"\r\n0\r\n\r\n",
    )
    assert answer.startswith(b"HTTP/1.1 200 ")


def test_a_client_that_waits_is_told_to_continue(node):
    with socket.create_connection(("127.0.0.1", node.port), timeout=4.0) as connection:
        connection.sendall(
            b"POST /tasks HTTP/1.1\r\n" + HEAD + b"Content-Length: 13\r\nExpect: 100-continue\r\n\r\n"
        )
        assert connection.recv(65536) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(BODY)
        assert connection.recv(65536).startswith(b"HTTP/1.1 200 ")


def test_a_client_that_waits_with_too_much_is_refused_at_once(node):
    answer = exchange(
        node.port,
        b"POST /tasks HTTP/1.1\r\n"
        + HEAD
        + b"Content-Length: 12000000\r\nExpect: 100-continue\r\n\r\n",
        seconds=4.0,
    )
    assert answer.startswith(b"HTTP/1.1 413 ")


@pytest.mark.parametrize(
    "old, new", [(b"GET ", b"POST "), (b"HTTP/1.1", b"HTTP/1.0"), (b"Host", b"Content-Length: 1\r\nHost")]
)
def test_a_handshake_is_a_plain_get_of_http_1_1(node, old, new):
    head, _ = request(node.port)
    answer = exchange(node.port, head.replace(old, new, 1))
    assert answer.startswith(b"HTTP/1.1 400 ")


@pytest.mark.parametrize("path", ["//events", "/./events", "/x/../events", "/events/x/.."])
def test_a_session_has_the_path_a_proxy_has_seen(node, path):
    with pytest.raises(Refused) as refused:
        RawWebSocket(node.port, path)
    assert refused.value.status == 404


@OWN_CIVETWEB
def test_any_line_of_connection_may_ask_for_the_upgrade(node):
    head, _ = request(node.port)
    lines = b"Connection: keep-alive\r\nConnection: Upgrade\r\n"
    with socket.create_connection(("127.0.0.1", node.port), timeout=4.0) as connection:
        connection.sendall(head.replace(b"Connection: Upgrade\r\n", lines))
        assert connection.recv(65536).startswith(b"HTTP/1.1 101 ")


@OWN_CIVETWEB
def test_spaces_behind_a_header_are_no_part_of_it(node):
    answer = exchange(
        node.port,
        b"POST /tasks HTTP/1.1\r\nHost: x \r\nConnection: close \r\nX-Fields: title  \r\n"
        b"Content-Type: application/json \r\nContent-Length: 13 \r\n\r\n" + BODY,
    )
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert answer.endswith(b'\r\n\r\n{"title":"a"}')


def test_without_keep_alive_each_answer_says_so(serve):
    node = serve("--no-keep-alive")
    answer = exchange(node.port, 2 * b"GET /tasks HTTP/1.1\r\nHost: x\r\n\r\n", seconds=4.0)
    assert answer.count(b"HTTP/1.1 200 ") == 1
    assert b"\r\nConnection: close\r\n" in answer


def test_no_answer_says_keep_alive_and_closes(node):
    answer = exchange(node.port, b"GET /tasks HTTP/1.1\r\nHost: x\r\nConnection: TE\r\n\r\n")
    assert b"\r\nConnection: close\r\n" in answer


def test_drawn_out_bodies_do_not_hold_every_worker(serve):
    node = serve(
        "--http-threads", "2", "--limit-exchange-timeout-ms", "500", "--print-counters"
    )
    done = threading.Event()

    def drip(connection):
        with contextlib.suppress(OSError):
            while not done.wait(0.1):
                connection.sendall(b" ")

    drippers = [socket.create_connection(("127.0.0.1", node.port)) for _ in range(2)]
    threads = [threading.Thread(target=drip, args=(each,)) for each in drippers]
    for each, thread in zip(drippers, threads):
        each.sendall(b"POST /tasks HTTP/1.1\r\n" + HEAD + b"Content-Length: 1000000\r\n\r\n{")
        thread.start()
    try:
        node.create(title="served meanwhile")
        for each in drippers:
            assert each.recv(65536).startswith(b"HTTP/1.1 408 ")
        assert node.counters()["http_body_too_slow_total"] == 2
    finally:
        done.set()
        for each, thread in zip(drippers, threads):
            thread.join()
            each.close()


def test_parameters_of_a_session_end_somewhere(node):
    session = RawWebSocket(node.port, "/events?enableErrors")
    for turn in range(20):  # 5 KiB each, all new names
        fresh = {f"name-{turn}-{i}": ["x" * 90] for i in range(50)}
        session.send(TEXT, json.dumps({"parameters": fresh}).encode())
    _, payload = session.message()
    error = json.loads(payload)
    assert error["type"] == "error"
    assert "parameters" in error["entity"]["description"]
    session.close()


def test_handshakes_broken_off_while_events_flow_leave_nothing(serve):
    node = serve()
    stop = time.monotonic() + 3.0

    def churn():
        turn = 0
        while time.monotonic() < stop:
            turn += 1
            with contextlib.suppress(OSError), socket.create_connection(
                ("127.0.0.1", node.port), timeout=5.0
            ) as connection:
                connection.sendall(request(node.port)[0])
                if turn % 3 == 0:
                    connection.recv(10)
                if turn % 5 == 0:
                    connection.sendall(frame(TEXT, b'{"identities":{"task":null}}'))
                linger = struct.pack("ii", 1, 0)  # a reset in place of an end
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)

    threads = [threading.Thread(target=churn) for _ in range(4)]
    for thread in threads:
        thread.start()
    while time.monotonic() < stop:
        node.create(title="x" * 200)
    for thread in threads:
        thread.join()
    eventually(lambda: node.handed_over() == 0, what="every session's socket is closed")
    node.create(title="still here")


def connection_from(node, own, local="127.0.0.1"):
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    connection.settimeout(10)
    connection.bind(own)
    connection.connect((local, node.port))
    return connection


def answers(connection):
    connection.sendall(b"GET /tasks HTTP/1.1\r\nHost: x\r\n\r\n")
    return connection.recv(65536).startswith(b"HTTP/1.1 200 ")


@OWN_CIVETWEB
def test_one_port_of_a_client_may_lead_to_two_addresses(serve):
    node = serve("--allow-all", "--limit-keep-alive-ms", "30000", listen="0.0.0.0:0")
    first = connection_from(node, ("127.0.0.9", 0))
    second = connection_from(node, first.getsockname(), "127.0.0.3")
    assert answers(first) and answers(second)
    head, _ = request(node.port)
    first.sendall(head)
    answer = b""
    while not answer.endswith(b"\r\n\r\n"):
        answer += first.recv(65536)
    assert answer.startswith(b"HTTP/1.1 101 ")
    assert answers(second)
    second.close()
    third = connection_from(node, ("127.0.0.8", 0))
    assert answers(third)
    node.create(title="heard")
    assert b"heard" in first.recv(65536)
    assert answers(third)
    first.close()
    third.close()


@OWN_CIVETWEB
@pytest.mark.parametrize("listen", ["127.0.0.1:0", "[::]:0"])
@pytest.mark.parametrize(
    "drawn_out",
    [
        b"POST /tasks HTTP/1.1\r\n" + HEAD + b"Content-Length: 100\r\n\r\n{",
        b"POST /tasks HTTP/1.1\r\n" + HEAD + b"Sec-WebSocket-Key: a\r\nContent-Length: 9\r\n\r\n{",
    ],
    ids=["a body", "a body and a key"],
)
def test_an_address_that_draws_its_requests_out_holds_up_no_other(serve, listen, drawn_out):
    node = serve("--allow-all", "--http-threads", "4", "--health", "127.0.0.1:0", listen=listen)
    health = Health(node)
    stalled = [connection_from(node, ("127.0.0.1", 0)) for _ in range(8)]
    for connection in stalled:
        connection.sendall(drawn_out)
    with connection_from(node, ("127.0.0.2", 0)) as other:
        assert answers(other)
    eventually(lambda: health.sample("http_connections_held_total") >= 1, what="those held back")
    for connection in stalled:
        connection.close()
