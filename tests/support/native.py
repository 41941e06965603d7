"""A client of the native protocol of rooms."""

import json
import struct

import msgpack

from deadline import eventually
from rawws import BINARY, CLOSE, TEXT, RawWebSocket


class Client:
    """Speaks the protocol in either encoding; answers are matched by id."""

    def __init__(
        self,
        node,
        encoding="json",
        path="/connect",
        headers=None,
        tls=None,
        receive_buffer=None,
    ):
        headers = dict(headers or {})
        self.msgpack = encoding == "msgpack"
        if self.msgpack:
            headers["Accept"] = "application/msgpack"
        self.ws = RawWebSocket(node.port, path, headers, receive_buffer, tls=tls)
        self.number = 0
        self.pushes = []
        self.welcome = self.hear()

    def send(self, kind, id=None, **data):
        message = {"type": kind, "data": data}
        if id is not None:
            message["id"] = id
        if self.msgpack:
            self.ws.send(BINARY, msgpack.packb(message))
        else:
            self.ws.send(TEXT, json.dumps(message).encode())

    def hear(self):
        opcode, payload = self.ws.message()
        if opcode == CLOSE:
            return struct.unpack(">H", payload[:2])[0]
        assert opcode == (BINARY if self.msgpack else TEXT)
        return msgpack.unpackb(payload) if self.msgpack else json.loads(payload)

    def ask(self, kind, **data):
        """The answer; pushes on the way are kept."""
        self.number += 1
        self.send(kind, id=self.number, **data)
        while True:
            message = self.hear()
            assert isinstance(message, dict), message
            if message.get("id") == self.number:
                return message
            self.pushes.append(message)

    def ok(self, kind, **data):
        answer = self.ask(kind, **data)
        assert answer["type"] == "OK", answer
        return answer.get("data")

    def error(self, kind, **data):
        answer = self.ask(kind, **data)
        assert answer["type"] == "ERROR", answer
        assert answer["data"]["message"]
        return answer["data"]["code"]

    def next(self, kind="PUSH"):
        """The next message of that type; others are passed over."""
        while True:
            message = self.pushes.pop(0) if self.pushes else self.hear()
            assert isinstance(message, dict), message
            if message["type"] == kind:
                return message

    def body(self):
        (item,) = self.next()["data"]["items"]
        return item["body"]


def bearer(token):
    return {"Authorization": f"Bearer {token}"}


def join_across(clients, room):
    """All are in the room, and each is heard by all others."""
    for client in clients:
        client.ok("JOIN", room=room)
    for speaker in clients:

        def heard(speaker=speaker):
            speaker.ok("SEND", room=room, body={"ping": speaker.welcome["data"]["session"]})
            return all(
                any(
                    item.get("session") == speaker.welcome["data"]["session"]
                    for message in drain(client)
                    for item in message["data"]["items"]
                )
                for client in clients
            )

        eventually(heard, what="hearing across nodes")
    for speaker in clients:
        speaker.ok("SEND", room=room, body="settled")
    for client in clients:
        left = len(clients)
        while left:
            left -= sum(item["body"] == "settled" for item in client.next()["data"]["items"])
        client.pushes.clear()


def drain(client):
    """The pushes that came within a moment."""
    while client.ws.has_data(0.1):
        client.pushes.append(client.hear())
    pushes = [message for message in client.pushes if message["type"] == "PUSH"]
    client.pushes.clear()
    return pushes
