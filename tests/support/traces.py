"""Reads tests/traces/*.txt, and makes what was recorded comparable with what a server says now.

A file holds exchanges in the order they were recorded, grouped by the server they need:

    @ SERVER
    == NAME
    KEY VALUE         what a test has to know besides: `closes`, `url /events?...`
    > TEXT            a line that was sent
    < TEXT            a line of bahamut's answer
    j TEXT            an event that a JSON session hears of it, and m, one of a msgpack session
    ! TEXT            a line of ours, where it differs on purpose
    because REASON    why it does

Lines are joined by CR LF, and what ends in an empty line ends in one more; `>+` joins by LF alone,
`>x` and `>~` add bytes, in hexadecimal or as they stand, and no line end. {"x" 9} stands for nine
x. Lines that begin with # are comments."""

import os
import re

FOLDER = os.path.join(os.path.dirname(__file__), "..", "traces")
MODEL = os.path.join(FOLDER, "model.json")


class Message:
    """Bytes made of marked lines."""

    def __init__(self):
        self.data = b""
        self.lines = 0
        self.ends_empty = False

    def add(self, form, line):
        if form in ("x", "~"):
            text = expanded(line)
            self.data = self.value() + (bytes.fromhex(text.decode()) if form == "x" else text)
            self.ends_empty = False
            return
        if self.lines:
            self.data += b"\n" if form == "+" else b"\r\n"
        self.data += expanded(line)
        self.lines += 1
        self.ends_empty = not line and self.lines > 1

    def value(self):
        return self.data + b"\r\n" if self.ends_empty else self.data


def expanded(line):
    return re.sub(r'\{"([^"]*)" (\d+)\}', lambda match: match[1] * int(match[2]), line).encode()


class Exchange:
    def __init__(self, name, server):
        self.name, self.server = name, server
        self.keys = {}
        self.messages = {}
        self.events = []  # of a JSON session

    def message(self, mark):
        found = self.messages.get(mark)
        return found.value() if found else None

    @property
    def request(self):
        return self.message(">")

    @property
    def expected(self):
        """What a server has to answer."""
        ours = self.message("!")
        return self.message("<") if ours is None else ours

    def __repr__(self):
        return self.name


def load(name):
    exchanges, server = [], None
    with open(os.path.join(FOLDER, name), encoding="utf-8", newline="\n") as file:
        for number, line in enumerate(file, 1):
            line = line.rstrip("\n")
            mark = line[:1]
            if not line or mark == "#":
                continue
            if mark == "@":
                server = line[2:]
            elif line.startswith("== "):
                exchanges.append(Exchange(line[3:], server))
            elif line.startswith("j "):
                exchanges[-1].events.append(line[2:].encode())
            elif mark in MARKS and line[1:2] in FORMS:
                form = line[1:2].strip()
                rest = line[1 + len(form) :].removeprefix(" ")
                exchanges[-1].messages.setdefault(mark, Message()).add(form, rest)
            else:
                key, _, value = line.partition(" ")
                assert key in KEYS, f"{name}:{number}: {line}"
                exchanges[-1].keys[key] = value
    assert len({exchange.name for exchange in exchanges}) == len(exchanges)
    return exchanges


def rows(name):
    """The lines of a file, as lists of words."""
    with open(os.path.join(FOLDER, name), encoding="utf-8") as file:
        return [line.split() for line in file if not line.startswith("#")]


MARKS = ("<", ">", "!", "m")
FORMS = ("", " ", "x", "+", "~")
KEYS = (
    "because", "binary", "close", "closes", "events", "flags", "frame", "line", "own_civetweb",
    "session", "times", "url", "words",
)  # fmt: skip


# ---- answers ----


def is_bodiless(head, method):
    status = head.split(b" ", 2)[1]
    return method == b"HEAD" or status in (b"101", b"204", b"304") or status.startswith(b"10")


def header(head, name):
    found = re.search(rb"\r\n" + name + rb": *([^\r]*)", head, re.IGNORECASE)
    return found[1] if found else None


class Answer:
    """One answer as it came: head without its empty line, and body."""

    def __init__(self, head, body, method):
        self.head, self.body, self.method = head, body, method

    def normalised(self):
        """Without the date, with bahamut's trace, its length following."""
        head = re.sub(rb"\r\nDate: [^\r]*", b"", self.head)
        length = header(head, b"Content-Length")
        if is_bodiless(head, self.method):
            return head + b"\r\n\r\n" + self.body
        if length is not None:
            assert int(length) == len(self.body), f"{length} is said, {len(self.body)} came"
        body = forget_trace(self.body)
        head = re.sub(rb"(\r\nContent-Length: )\d+", rb"\g<1>%d" % len(body), head)
        return head + b"\r\n\r\n" + body


def forget_trace(body):
    body = re.sub(rb'"trace":"[0-9a-f-]{36}"', b'"trace":"unknown"', body)
    return re.sub(rb"trace\xd9\x24[0-9a-f-]{36}", b"trace\xa7unknown", body)


def methods(request):
    """Of each request in what is sent."""
    return re.findall(rb"^([A-Z]+) [^\r\n]* HTTP/", request, re.MULTILINE) or [b"GET"]


def split(data, sent_methods):
    """The answers `data` consists of."""
    answers = []
    for method in sent_methods:
        if not data:
            break
        head, _, data = data.partition(b"\r\n\r\n")
        length = header(head, b"Content-Length")
        size = 0 if is_bodiless(head, method) else len(data) if length is None else int(length)
        if b" 101 " in head:
            size = len(data)  # frames
        answers.append(Answer(head, data[:size], method))
        data = data[size:]
    assert not data, f"more than was asked for: {data!r}"
    return answers


def receive(connection, count, sent_methods):
    """Reads until `count` answers are there whole, or the stream ends; and whether it has."""
    data = b""
    while True:
        part = connection.recv(1 << 18)
        data += part
        if not part:
            return data, True
        if whole_answers(data, sent_methods) >= count:
            return data, False


def whole_answers(data, sent_methods):
    found = 0
    for method in sent_methods:
        head, end, rest = data.partition(b"\r\n\r\n")
        if not end:
            break
        length = header(head, b"Content-Length")
        size = 0 if is_bodiless(head, method) else int(length or 0)
        if len(rest) < size:
            break
        found += 1
        data = rest[size:]
    return found


# ---- frames ----


def exactly(web, count):
    """So many bytes of a RawWebSocket."""
    while len(web.buffer) < count:
        part = web.socket.recv(1 << 18)
        if not part:
            break
        web.buffer += part
    data = bytes(web.buffer[:count])
    del web.buffer[:count]
    return data


def all_of(web):
    """Up to the end of the stream."""
    try:
        return exactly(web, 1 << 30)
    except ConnectionError:
        return bytes(web.buffer)


# ---- what differs from one run to another ----

ID = re.compile(rb"(?<![0-9a-f])[0-9a-f]{24}(?![0-9a-f])")


class Ids:
    """IDs that were recorded, and those that stand for them now."""

    def __init__(self):
        self.made = {}

    def learn(self, recorded, received):
        """Pairs the IDs of a recorded answer with those of one received, by place."""
        for old, new in zip(ID.findall(recorded), ID.findall(received)):
            self.made.setdefault(old, new)

    def now(self, recorded):
        return ID.sub(lambda match: self.made.get(match[0], match[0]), recorded)


def forget_time(event):
    """An event, in any of the lengths a time may have."""
    event = re.sub(rb'"timestamp":"[^"]*"', b'"timestamp":"now"', event)
    return re.sub(rb"timestamp(\xd7\xff.{8}|\xd6\xff.{4})", b"timestamp now", event, flags=re.DOTALL)
