"""A NATS client of four commands that shows what is on the wire."""

import socket


class RawNats:
    """Subscribed to one subject."""

    def __init__(self, port, subject):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=60)
        self.stream = self.socket.makefile("rb")
        self._send(f'CONNECT {{"verbose":false}}\r\nSUB {subject} 1\r\nPING\r\n'.encode())
        while self.stream.readline() != b"PONG\r\n":
            pass

    def _send(self, data):
        self.socket.sendall(data)

    def message(self):
        """The next message: its subject, its reply subject or None, its bytes."""
        while True:
            line = self.stream.readline()
            assert line, "the broker has hung up"
            words = line.decode().split()
            if words[:1] == ["PING"]:
                self._send(b"PONG\r\n")
            if words[:1] == ["MSG"]:
                payload = self.stream.read(int(words[-1]))
                return words[1], words[3] if len(words) == 5 else None, payload

    def publish(self, subject, payload):
        self._send(f"PUB {subject} {len(payload)}\r\n".encode() + payload + b"\r\n")

    def close(self):
        self.stream.close()
        self.socket.close()
