"""Hostile bytes: each gets a clear answer, and nobody else notices."""

import json
import os
import socket
import struct

import msgpack
import pytest

from rawws import BINARY, CLOSE, CONTINUATION, PING, TEXT, RawWebSocket, frame

JSON, MSGPACK = "application/json", "application/msgpack"
CONFIG = b'{"identities":{"task":[]}}'


@pytest.fixture(scope="module")
def witness(node):
    session = RawWebSocket(node.port)
    yield session
    session.close()


@pytest.fixture(autouse=True)
def others_are_undisturbed(node, witness):
    """After each test another client is served and another session hears of it."""
    yield
    made = node.create(title="still here")
    while True:
        opcode, payload = witness.message()
        assert opcode == TEXT
        if json.loads(payload)["entity"].get("ID") == made["ID"]:
            break
    assert node.process.poll() is None


def post(node, body, content_type=JSON, path="/tasks", **headers):
    return node.request(
        "POST", path, data=body, headers={"Content-Type": content_type, **headers}
    )


BAD_JSON = {
    "empty object's brace missing": b"{",
    "cut in a string": b'{"title": "a',
    "cut in a number": b'{"number": 1e',
    "cut after a colon": b'{"title":',
    "no JSON at all": b"hello",
    "a bad escape": rb'{"title": "\q"}',
    "a lone surrogate": rb'{"title": "\ud800"}',
    "bytes that are not UTF-8": b'{"title": "\xff\xfe"}',
    "a key twice": b'{"title": "a", "title": "b"}',
    "100,000 brackets": b"[" * 100000,
    "100,000 braces": b'{"a":' * 100000,
    "65 levels inside": b'{"title":' + b"[" * 65 + b"]" * 65 + b"}",
    "300,000 values in one body": b'{"title":"a","x":[' + b"1," * 300000 + b"1]}",
    "an object where a text belongs": b'{"title": {"a": 1}}',
}


@pytest.mark.parametrize("body", BAD_JSON.values(), ids=BAD_JSON.keys())
def test_bad_json_is_a_400(node, body):
    answer = post(node, body)
    assert answer.status_code in (400, 422), answer.text
    error = answer.json()[0]
    assert error["code"] == answer.status_code
    assert error["description"]


BAD_MSGPACK = {
    "cut in a map": b"\x82\xa5title\xa1a",
    "cut in a string": b"\x81\xa5title\xd9\xff",
    "an array of 100 million in 5 bytes": b"\xdd" + struct.pack(">I", 100_000_000),
    "a map of 4 billion in 5 bytes": b"\xdf\xff\xff\xff\xff",
    "a text of 4 billion": b"\x81\xa5title\xdb\xff\xff\xff\xff",
    "100,000 arrays": b"\x91" * 100000,
    "200,000 empty maps": b"\x82\xa5title\xa1a\xa1x\xdd" + struct.pack(">I", 200_000) + b"\x80" * 200_000,
    "the byte that is nothing": b"\xc1",
    "a key twice": b"\x82\xa5title\xa1a\xa5title\xa1b",
}


@pytest.mark.parametrize("body", BAD_MSGPACK.values(), ids=BAD_MSGPACK.keys())
def test_bad_msgpack_is_a_400(node, body):
    answer = post(node, body, MSGPACK, Accept=MSGPACK)
    assert answer.status_code == 400, answer.content
    assert msgpack.unpackb(answer.content)[0]["code"] == 400


def test_a_body_over_the_limit_is_a_413(node):
    body = json.dumps({"title": "x" * (3 << 20)})
    answer = post(node, body)
    assert answer.status_code == 413
    assert answer.json()[0]["code"] == 413


def test_a_body_at_the_limit_is_taken(node):
    frame_of_it = len(json.dumps({"title": ""}))
    body = json.dumps({"title": "x" * ((1 << 20) - frame_of_it)})
    assert post(node, body).status_code == 200


def test_a_chunked_body_over_the_limit_is_a_413(node):
    def chunks():
        for _ in range(48):
            yield b"x" * 65536

    answer = post(node, chunks())
    assert answer.status_code == 413


@pytest.mark.parametrize(
    "method, path, headers, statuses",
    [
        ("GET", "/unknowns", {}, {405}),
        ("POST", "/unknowns/1/tasks", {}, {405}),
        ("GET", "/v", {}, {400, 404, 405}),
        ("GET", "/v/", {}, {302, 400, 404}),
        ("GET", "/v/1", {}, {400}),
        ("GET", "/v/999999999999999999999/tasks", {}, {400}),
        ("GET", "/tasks", {"Accept": "text/html"}, {415}),
        ("GET", "/tasks", {"Accept": "///"}, {400}),
        ("POST", "/tasks", {"Content-Type": "text/plain"}, {415}),
        ("GET", "/tasks?page=99999999999999999999", {}, {400}),
        ("GET", "/tasks?page=-1&pagesize=2", {}, {400}),
        ("BREW", "/tasks", {}, {400, 405, 501}),
        ("GET", "/" + "a" * 20000, {}, {400, 404, 413, 414, 431}),
    ],
    ids=lambda value: value[:40] if isinstance(value, str) else None,
)
def test_requests_that_make_no_sense_have_a_clear_answer(node, method, path, headers, statuses):
    answer = node.request(method, path, headers=headers, allow_redirects=False)
    assert answer.status_code in statuses, (answer.status_code, answer.text)


NOT_HTTP = {
    "blank lines": b"\r\n\r\n",
    "a method alone": b"GET\r\n\r\n",
    "a version that is a script": b"GET /tasks HTTP/9.9<script>\r\nHost: a\r\n\r\n",
    "a negative length": b"POST /tasks HTTP/1.1\r\nHost: a\r\nContent-Length: -5\r\n\r\n",
    "a length with a letter": b"POST /tasks HTTP/1.1\r\nHost: a\r\nContent-Length: 9x\r\n\r\n",
    "a chunk without a size": (
        b"POST /tasks HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"
    ),
    "a TLS hello": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "a head of 40 KB": b"GET /tasks HTTP/1.1\r\nX: " + b"y" * 40000 + b"\r\n\r\n",
}


@pytest.mark.parametrize("sent", NOT_HTTP.values(), ids=NOT_HTTP.keys())
def test_what_is_not_http_is_refused_or_cut_off(node, sent):
    with socket.create_connection(("127.0.0.1", node.port), timeout=30) as connection:
        answer = b""
        try:
            connection.sendall(sent)
            connection.shutdown(socket.SHUT_WR)
            while data := connection.recv(65536):
                answer += data
        except OSError:
            pass  # cut off
    assert b"<script>" not in answer
    assert answer == b"" or answer.startswith((b"HTTP/1.1 4", b"HTTP/1.1 5", b"HTTP/1.0 4"))


BAD_FRAMES = {
    "unmasked": (frame(TEXT, CONFIG, mask=False), 1002),
    "a reserved bit": (frame(TEXT, CONFIG, reserved=4), 1002),
    "all reserved bits": (frame(TEXT, CONFIG, reserved=7), 1002),
    "a reserved opcode": (frame(3, CONFIG), 1002),
    "a reserved control opcode": (frame(11), 1002),
    "a continuation of nothing": (frame(CONTINUATION, CONFIG), 1002),
    "a ping in two parts": (frame(PING, b"a", fin=False), 1002),
    "a ping of 126 bytes": (frame(PING, b"a" * 126), 1002),
    "2 GiB announced": (frame(BINARY, b"", length=2 << 30), 1009),
    "2^63 announced": (frame(BINARY, b"", length=1 << 63), 1002),
    "65,537 bytes": (frame(TEXT, b" " * 65537), 1009),
    "a message of two halves over the limit": (
        frame(TEXT, b" " * 40000, fin=False) + frame(CONTINUATION, b" " * 40000),
        1009,
    ),
    "2,000 fragments": (
        frame(TEXT, b" ", fin=False) + frame(CONTINUATION, b" ", fin=False) * 2000,
        1008,
    ),
    "a close of one byte": (frame(CLOSE, b"\x03"), 1002),
    "a close code that is nobody's": (frame(CLOSE, struct.pack(">H", 1005)), 1002),
    "a filter that is not JSON": (frame(TEXT, b"{"), 1003),
    "a filter of 20,000 brackets": (frame(TEXT, b"[" * 20000), 1003),
}


@pytest.mark.parametrize("sent, code", BAD_FRAMES.values(), ids=BAD_FRAMES.keys())
def test_a_bad_frame_closes_its_session_with_the_right_code(node, sent, code):
    session = RawWebSocket(node.port)
    session.send_bytes(sent)
    assert session.close_code() == code
    session.close()


def test_half_a_frame_harms_nobody(node):
    session = RawWebSocket(node.port)
    session.send_bytes(frame(TEXT, CONFIG)[:7])
    session.close()


def test_a_frame_in_single_bytes_is_a_frame(node):
    session = RawWebSocket(node.port)
    for byte in frame(TEXT, CONFIG) + frame(PING, b"there?"):
        session.send_bytes(bytes([byte]))
    assert session.receive() == (True, 0, 10, b"there?")
    session.close()


@pytest.mark.parametrize(
    "early",
    [
        frame(PING, b"early"),
        pytest.param(
            frame(PING, b"early")[:5],
            marks=pytest.mark.skipif(
                os.environ.get("KUJATA_OWN_CIVETWEB") == "0",
                reason="the system's civetweb does not tell of a part",
            ),
        ),
    ],
)
def test_frames_sent_before_the_101_do_not_pass_silently(node, early):
    """They are either read or the session is closed; so it is with a part of one."""
    from rawws import request

    head, _ = request(node.port)
    with socket.create_connection(("127.0.0.1", node.port), timeout=30) as connection:
        connection.sendall(head + early)
        stream = connection.makefile("rb")
        while stream.readline() not in (b"\r\n", b""):
            pass
        first = stream.read(2)
    assert first == b"" or first[0] & 15 in (CLOSE, 10)
