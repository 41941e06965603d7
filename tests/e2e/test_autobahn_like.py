"""Conformance to RFC 6455, strictly, in the classes of the Autobahn suite: 1 framing, 2 pings,
3 reserved bits, 4 opcodes, 5 fragmentation, 6 UTF-8, 7 closing, 9 size, 10 chops."""

import os
import re
import struct

import pytest

from programs import Program
from rawws import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, RawWebSocket, frame

pytestmark = pytest.mark.skipif("KUJATA_WS_ECHO" not in os.environ, reason="no ws_echo")


@pytest.fixture(scope="module")
def port():
    program = Program(os.environ["KUJATA_WS_ECHO"], "--listen", "127.0.0.1:0")
    yield int(re.search(r":(\d+)$", program.line())[1])
    program.stop()


@pytest.fixture
def session(port):
    opened = RawWebSocket(port, path="/")
    yield opened
    opened.close()


def close_payload(code, reason=b""):
    return struct.pack(">H", code) + reason


SIZES = [0, 1, 125, 126, 127, 128, 65535, 65536, 65537]


# 1 and 9.


@pytest.mark.parametrize("opcode", [TEXT, BINARY])
@pytest.mark.parametrize("size", SIZES)
def test_a_message_of_any_size_comes_back(session, opcode, size):
    payload = b"*" * size if opcode == TEXT else bytes(i & 0xFF for i in range(size))
    session.send(opcode, payload)
    assert session.receive() == (True, 0, opcode, payload)


@pytest.mark.parametrize("opcode", [TEXT, BINARY])
@pytest.mark.parametrize("chop", [997, 65536])
def test_a_message_that_arrives_in_pieces_comes_back(session, opcode, chop):
    payload = b"*" * 65536
    whole = frame(opcode, payload)
    for start in range(0, len(whole), chop):
        session.send_bytes(whole[start : start + chop])
    assert session.receive() == (True, 0, opcode, payload)


@pytest.mark.parametrize("opcode", [TEXT, BINARY])
@pytest.mark.parametrize("size", [1 << 20, 4 << 20, 16 << 20])
def test_a_large_message_comes_back(session, opcode, size):
    payload = b"*" * size
    session.send(opcode, payload)
    assert session.message() == (opcode, payload)


@pytest.mark.parametrize("part", [64, 4096, 1 << 18, 4 << 20])
def test_a_message_of_four_mebibytes_in_fragments_comes_back(session, part):
    payload = os.urandom(4 << 20)
    sent = bytearray()
    for start in range(0, len(payload), part):
        last = start + part >= len(payload)
        opcode = CONTINUATION if start else BINARY
        sent += frame(opcode, payload[start : start + part], fin=last)
    session.send_bytes(sent)
    assert session.message() == (BINARY, payload)


def test_a_thousand_small_messages_come_back_in_order(session):
    session.send_bytes(b"".join(frame(TEXT, str(i).encode()) for i in range(1000)))
    for i in range(1000):
        assert session.message() == (TEXT, str(i).encode())


# 2.


@pytest.mark.parametrize("payload", [b"", b"Hello", bytes(range(125)), b"\xff" * 125])
def test_a_ping_s_payload_comes_back_in_the_pong(session, payload):
    session.send(PING, payload)
    assert session.receive() == (True, 0, PONG, payload)


@pytest.mark.parametrize("payload", [b"", b"unsolicited"])
def test_a_pong_nobody_asked_for_is_ignored(session, payload):
    session.send(PONG, payload)
    session.send(PING, b"next")
    assert session.receive() == (True, 0, PONG, b"next")


def test_ten_pings_are_answered_in_order(session):
    session.send_bytes(b"".join(frame(PING, b"%d" % i) for i in range(10)))
    for i in range(10):
        assert session.receive() == (True, 0, PONG, b"%d" % i)


def test_a_ping_in_single_bytes_is_answered(session):
    for byte in frame(PING, bytes(range(20))):
        session.send_bytes(bytes([byte]))
    assert session.receive() == (True, 0, PONG, bytes(range(20)))


# 1002, whatever the fault: 2.5, 3, 4, 5 and 7.

PROTOCOL_ERRORS = {
    "2.5 a ping of 126 bytes": frame(PING, b"*" * 126),
    "3.1 reserved bit 3": frame(TEXT, b"*", reserved=1),
    "3.2 reserved bit 2": frame(TEXT, b"*", reserved=2),
    "3.3 reserved bits 2 and 3": frame(TEXT, b"*", reserved=3),
    "3.4 reserved bit 1": frame(TEXT, b"*", reserved=4),
    "3.5 in binary": frame(BINARY, b"*", reserved=5),
    "3.6 in a ping": frame(PING, b"*", reserved=6),
    "3.7 in a close": frame(CLOSE, close_payload(1000), reserved=7),
    "5.1 a ping in fragments": frame(PING, b"a", fin=False) + frame(CONTINUATION, b"b"),
    "5.2 a pong in fragments": frame(PONG, b"a", fin=False) + frame(CONTINUATION, b"b"),
    "5.9 a continuation of nothing": frame(CONTINUATION, b"a", fin=False) + frame(TEXT, b"b"),
    "5.10 a final continuation of nothing": frame(CONTINUATION, b"a"),
    "5.18 a text inside a text": frame(TEXT, b"a", fin=False) + frame(TEXT, b"b"),
    "5.x a binary inside a text": frame(TEXT, b"a", fin=False) + frame(BINARY, b"b"),
    "7.3.2 a close of one byte": frame(CLOSE, b"a"),
    "7.3.6 a close of 126 bytes": frame(CLOSE, close_payload(1000, b"*" * 124)),
    "unmasked text": frame(TEXT, b"a", mask=False),
    "unmasked ping": frame(PING, b"", mask=False),
    "a length not in its shortest form, 16 bits": bytes([0x82, 0x80 | 126, 0, 5]) + b"\0" * 9,
    "a length not in its shortest form, 64 bits": (
        bytes([0x82, 0x80 | 127]) + struct.pack(">Q", 65535) + b"\0" * 4
    ),
    "a length with the top bit": bytes([0x82, 0x80 | 127]) + struct.pack(">Q", 1 << 63) + b"\0" * 4,
}
PROTOCOL_ERRORS.update(
    {f"4 opcode {opcode}": frame(opcode, b"*") for opcode in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15)}
)


@pytest.mark.parametrize("sent", PROTOCOL_ERRORS.values(), ids=PROTOCOL_ERRORS.keys())
def test_a_protocol_error_closes_with_1002(session, sent):
    session.send_bytes(sent)
    assert session.close_code() == 1002


@pytest.mark.parametrize("sent", PROTOCOL_ERRORS.values(), ids=PROTOCOL_ERRORS.keys())
def test_what_came_before_a_protocol_error_is_not_taken_back(session, sent):
    session.send_bytes(frame(PING, b"before"))
    assert session.receive() == (True, 0, PONG, b"before")
    session.send_bytes(sent + frame(TEXT, b"behind"))
    assert session.close_code() == 1002


# 5.


@pytest.mark.parametrize("opcode", [TEXT, BINARY])
def test_fragments_come_back_as_one_message(session, opcode):
    session.send(opcode, b"frag", fin=False)
    session.send(CONTINUATION, b"", fin=False)
    session.send(CONTINUATION, b"ment")
    assert session.message() == (opcode, b"fragment")


def test_control_frames_may_stand_between_fragments(session):
    session.send(TEXT, b"one ", fin=False)
    session.send(PING, b"between")
    assert session.receive() == (True, 0, PONG, b"between")
    session.send(PONG, b"ignored")
    session.send(CONTINUATION, b"two")
    assert session.message() == (TEXT, b"one two")


def test_empty_fragments_make_an_empty_message(session):
    session.send(TEXT, b"", fin=False)
    session.send(CONTINUATION, b"", fin=False)
    session.send(CONTINUATION, b"")
    assert session.message() == (TEXT, b"")


# 6.

VALID = [
    "Hello-µ@ßöäüàá-UTF-8!!".encode(),
    "κόσμε".encode(),
    b"\x00",
    b"\x7f",
    b"\xc2\x80",
    b"\xdf\xbf",
    b"\xe0\xa0\x80",
    b"\xed\x9f\xbf",
    b"\xee\x80\x80",
    b"\xef\xbf\xbd",
    b"\xef\xbf\xbf",
    b"\xf0\x90\x80\x80",
    b"\xf4\x8f\xbf\xbf",
    b"\xf0\x9f\xbf\xbe",
]
INVALID = [
    b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xed\xa0\x80\x65\x64",
    b"\x80",
    b"\xbf",
    b"\x80\xbf\x80",
    b"\xc0\xaf",
    b"\xc1\xbf",
    b"\xe0\x80\xaf",
    b"\xe0\x9f\xbf",
    b"\xf0\x80\x80\xaf",
    b"\xf0\x8f\xbf\xbf",
    b"\xf8\x88\x80\x80\x80",
    b"\xfc\x84\x80\x80\x80\x80",
    b"\xed\xa0\x80",
    b"\xed\xbf\xbf",
    b"\xed\xa0\x80\xed\xb0\x80",
    b"\xf4\x90\x80\x80",
    b"\xf5\x80\x80\x80",
    b"\xfe",
    b"\xff",
    b"\xc2 ",
    b"\xe2\x82 ",
    b"cut off \xe2\x82",
    b"cut off \xf0\x9f\xbf",
]


@pytest.mark.parametrize("payload", VALID, ids=repr)
@pytest.mark.parametrize("part", [1, 1000])
def test_valid_utf8_comes_back_however_it_is_cut(session, payload, part):
    parts = [payload[i : i + part] for i in range(0, len(payload), part)]
    for index, piece in enumerate(parts):
        opcode = CONTINUATION if index else TEXT
        session.send(opcode, piece, fin=index == len(parts) - 1)
    assert session.message() == (TEXT, payload)


@pytest.mark.parametrize("payload", INVALID, ids=repr)
@pytest.mark.parametrize("part", [1, 1000])
def test_invalid_utf8_closes_with_1007(session, payload, part):
    sent = bytearray()
    parts = [payload[i : i + part] for i in range(0, len(payload), part)]
    for index, piece in enumerate(parts):
        sent += frame(CONTINUATION if index else TEXT, piece, fin=index == len(parts) - 1)
    session.send_bytes(sent)
    assert session.close_code() == 1007


@pytest.mark.parametrize("payload", INVALID, ids=repr)
def test_binary_may_hold_anything(session, payload):
    session.send(BINARY, payload)
    assert session.message() == (BINARY, payload)


def test_invalid_utf8_is_refused_before_the_message_is_whole(session):
    session.send(TEXT, b"fine", fin=False)
    session.send(CONTINUATION, b"\xf4\x90", fin=False)
    assert session.close_code() == 1007


def test_invalid_utf8_is_refused_before_the_frame_is_whole(session):
    whole = frame(TEXT, b"good" + b"\xed\xa0\x80" + b"never sent" * 100)
    session.send_bytes(whole[: 8 + 4 + 3])
    assert session.close_code() == 1007


# 7.


@pytest.mark.parametrize("code", [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000,
                                  3999, 4000, 4999])  # fmt: skip
def test_a_valid_close_code_comes_back(session, code):
    session.send(CLOSE, close_payload(code))
    _, _, opcode, payload = session.receive()
    assert (opcode, payload[:2]) == (CLOSE, close_payload(code))
    assert session.close_code() is None


@pytest.mark.parametrize("code", [0, 999, 1004, 1005, 1006, 1016, 1100, 2000, 2999, 5000, 65535])
def test_a_close_code_nobody_may_send_is_a_1002(session, code):
    session.send(CLOSE, close_payload(code))
    assert session.close_code() == 1002


def test_a_close_without_a_code_is_answered(session):
    session.send(CLOSE)
    assert session.receive() == (True, 0, CLOSE, b"")


def test_a_close_with_the_longest_reason_is_answered(session):
    session.send(CLOSE, close_payload(1000, b"*" * 123))
    assert session.close_code() == 1000


def test_a_close_whose_reason_is_not_utf8_is_a_1007(session):
    session.send(CLOSE, close_payload(1000, b"\xce\xba\xed\xa0\x80"))
    assert session.close_code() == 1007


def test_what_follows_a_close_is_not_answered(session):
    session.send_bytes(frame(CLOSE, close_payload(1000)) + frame(PING, b"x") + frame(TEXT, b"y"))
    _, _, opcode, _ = session.receive()
    assert opcode == CLOSE
    assert session.close_code() is None


def test_a_close_ends_a_message_under_way(session):
    session.send(TEXT, b"half", fin=False)
    session.send(CLOSE, close_payload(1000))
    assert session.close_code() == 1000


# 10.


@pytest.mark.parametrize("cut", [1, 64, 1300])
def test_a_frame_chopped_by_the_network_comes_back(session, cut):
    payload = b"*" * (1 << 16 if cut > 1 else 1 << 10)
    whole = frame(TEXT, payload)
    for start in range(0, len(whole), cut):
        session.send_bytes(whole[start : start + cut])
    assert session.message() == (TEXT, payload)
