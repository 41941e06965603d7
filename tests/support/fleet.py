"""Many sessions in one thread, and writes that come as one burst."""

import json
import resource
import select
import socket
import threading
import time
import zlib

from rawws import TEXT, RawWebSocket


def raise_file_limit(wanted):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < wanted <= hard or hard == resource.RLIM_INFINITY:
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))


def create_all(port, count, path="/tasks", first=0, title="t"):
    """Creates `count` tasks, numbered from `first`, in order: every request is on the way before
    the first answer is read. `title` may be a function of the number."""
    requests = bytearray()
    for number in range(first, first + count):
        words = title(number) if callable(title) else title
        body = json.dumps({"title": words, "number": number}).encode()
        requests += (
            f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        ).encode() + body
    with socket.create_connection(("127.0.0.1", port), timeout=300) as connection:
        sender = threading.Thread(target=connection.sendall, args=(requests,))
        sender.start()
        answers, tail = 0, b""
        while answers < count:
            data = connection.recv(1 << 18)
            assert data, f"the connection ended after {answers} answers"
            answers += (tail + data).count(b"HTTP/1.1 200 ")
            tail = (tail + data)[-12:]
        sender.join()


class Stream:
    """What one session received: the frames of the first, a checksum of the others."""

    def __init__(self, session):
        self.socket = session.socket
        self.length = len(session.buffer)
        self.checksum = zlib.crc32(session.buffer)

    def add(self, data):
        self.length += len(data)
        self.checksum = zlib.crc32(data, self.checksum)


def connect_all(port, count):
    raise_file_limit(count + 1024)
    return [RawWebSocket(port) for _ in range(count)]


def numbers_of(session, count):
    """Reads `count` events and returns the numbers of their tasks and the bytes they took."""
    numbers, checksum, length = [], 0, 0
    while len(numbers) < count:
        fin, reserved, opcode, payload = session.receive()
        assert (fin, reserved, opcode) == (True, 0, TEXT)
        numbers.append(json.loads(payload)["entity"]["number"])
        head = bytes([0x80 | TEXT])
        if len(payload) < 126:
            head += bytes([len(payload)])
        else:
            head += bytes([126]) + len(payload).to_bytes(2, "big")
        checksum = zlib.crc32(head + payload, checksum)
        length += len(head) + len(payload)
    return numbers, checksum, length


def read_streams(sessions, length, seconds, progress=None):
    """Reads every session until each has `length` bytes; returns their streams. `progress` is told
    of the fewest bytes that one of them has."""
    streams = {session.socket.fileno(): Stream(session) for session in sessions}
    poller = select.epoll()
    for descriptor, stream in streams.items():
        stream.socket.setblocking(False)
        poller.register(descriptor, select.EPOLLIN)
    waiting = {fd for fd, stream in streams.items() if stream.length < length()}
    end = time.monotonic() + seconds
    while waiting:
        assert time.monotonic() < end, f"{len(waiting)} sessions lack events after {seconds} s"
        for descriptor, _ in poller.poll(1):
            stream = streams[descriptor]
            data = stream.socket.recv(1 << 18)
            assert data, "the server ended a session"
            stream.add(data)
        if progress:
            progress(min(stream.length for stream in streams.values()))
        waiting = {fd for fd in waiting if streams[fd].length < length()}
    poller.close()
    return list(streams.values())
