"""A websocket client that does what it is told, right or wrong."""

import base64
import hashlib
import os
import select
import socket
import struct

TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10
CONTINUATION = 0
GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


def frame(opcode, payload=b"", fin=True, mask=True, reserved=0, length=None):
    """One frame; `length` announces another length than the payload's."""
    length = len(payload) if length is None else length
    head = bytes([(0x80 if fin else 0) | reserved << 4 | opcode])
    bit = 0x80 if mask else 0
    if length < 126:
        head += bytes([bit | length])
    elif length < 65536:
        head += bytes([bit | 126]) + struct.pack(">H", length)
    else:
        head += bytes([bit | 127]) + struct.pack(">Q", length)
    if not mask:
        return head + payload
    key = os.urandom(4)
    return head + key + masked(payload, key)


def masked(payload, key):
    if not payload:
        return b""
    count = len(payload)
    keys = (key * (count // 4 + 1))[:count]
    return (int.from_bytes(payload, "big") ^ int.from_bytes(keys, "big")).to_bytes(count, "big")


def request(port, path="/events", headers=None):
    """The head of a handshake and the accept value it asks for."""
    key = base64.b64encode(os.urandom(16))
    fields = {
        "Host": f"127.0.0.1:{port}",
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": key.decode(),
    }
    fields.update(headers or {})
    lines = [f"GET {path} HTTP/1.1"]
    lines += [f"{name}: {value}" for name, value in fields.items() if value is not None]
    accept = base64.b64encode(hashlib.sha1(key + GUID).digest()).decode()
    return "\r\n".join(lines).encode() + b"\r\n\r\n", accept


class Refused(Exception):
    def __init__(self, status, headers, body):
        super().__init__(f"{status}: {body!r}")
        self.status, self.headers, self.body = status, headers, body


class RawWebSocket:
    def __init__(
        self, port, path="/events", headers=None, receive_buffer=None, seconds=30.0, tls=None
    ):
        """`port`: of 127.0.0.1, or the path of a socket. `tls`: an ssl.SSLContext."""
        is_path = isinstance(port, str)
        self.socket = socket.socket(socket.AF_UNIX if is_path else socket.AF_INET)
        if receive_buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.settimeout(seconds)
        self.socket.connect(port if is_path else ("127.0.0.1", port))
        if not is_path:
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if tls:
            self.socket = tls.wrap_socket(self.socket, server_hostname="127.0.0.1")
        self.buffer = bytearray()
        head, accept = request(port, path, headers)
        self.socket.sendall(head)
        self._read_answer(accept)

    def _read_answer(self, accept):
        while b"\r\n\r\n" not in self.buffer:
            assert self._fill(), f"the answer broke off: {bytes(self.buffer)!r}"
        head, _, rest = bytes(self.buffer).partition(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        status = int(lines[0].split(" ")[1])
        headers = {}
        for line in lines[1:]:
            name, _, value = line.partition(":")
            headers[name.strip().lower()] = value.strip()
        self.buffer = bytearray(rest)
        if status != 101:
            body = self._exactly(int(headers.get("content-length", "0")))
            self.socket.close()
            raise Refused(status, headers, body)
        assert headers["sec-websocket-accept"] == accept
        self.headers = headers

    def _fill(self):
        data = self.socket.recv(1 << 18)
        self.buffer += data
        return len(data)

    def _exactly(self, count):
        while len(self.buffer) < count:
            if not self._fill():
                raise EOFError(f"the stream ended with {bytes(self.buffer)!r}")
        data = bytes(self.buffer[:count])
        del self.buffer[:count]
        return data

    def send(self, opcode, payload=b"", **how):
        self.socket.sendall(frame(opcode, payload, **how))

    def send_bytes(self, data):
        self.socket.sendall(data)

    def has_data(self, seconds):
        return bool(self.buffer) or bool(select.select([self.socket], [], [], seconds)[0])

    def receive(self):
        """(fin, reserved bits, opcode, payload) of the next frame."""
        first, second = self._exactly(2)
        assert not second & 0x80, "a server's frame is masked"
        length = second & 0x7F
        if length == 126:
            (length,) = struct.unpack(">H", self._exactly(2))
            assert length >= 126
        elif length == 127:
            (length,) = struct.unpack(">Q", self._exactly(8))
            assert length >= 65536
        return bool(first & 0x80), first >> 4 & 7, first & 15, self._exactly(length)

    def message(self):
        """(opcode, payload) of the next whole message; answers pings on the way."""
        opcode, parts = None, []
        while True:
            fin, reserved, frame_opcode, payload = self.receive()
            assert reserved == 0
            if frame_opcode == PING:
                self.send(PONG, payload)
            elif frame_opcode == CLOSE:
                return CLOSE, payload
            elif frame_opcode != PONG:
                opcode = opcode or frame_opcode
                parts.append(payload)
                if fin:
                    return opcode, b"".join(parts)

    def close_code(self):
        """Reads up to the server's close and the end of the stream; the code, or None."""
        code = None
        try:
            while True:
                _, _, opcode, payload = self.receive()
                if opcode == CLOSE and code is None:
                    code = struct.unpack(">H", payload[:2])[0] if payload else 1005
                    self.send(CLOSE, payload[:2])
        except (EOFError, ConnectionError):
            return code

    def close(self):
        self.socket.close()
