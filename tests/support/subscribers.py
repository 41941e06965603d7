"""Subscribers made with python3-websockets, an independent client."""

import asyncio
import json

import msgpack
import websockets

JSON, MSGPACK = "application/json", "application/msgpack"
SECONDS = 20


def run(coroutine):
    asyncio.run(asyncio.wait_for(coroutine, 60))


def connect(node, encoding=JSON, query="", **options):
    headers = {"Accept": encoding, "Content-Type": encoding}
    headers.update(options.pop("headers", {}))
    return websockets.connect(
        f"ws://127.0.0.1:{node.port}/events{query}", extra_headers=headers, **options
    )


async def create(node, path="/tasks", **attributes):
    loop = asyncio.get_running_loop()
    return await loop.run_in_executor(None, lambda: node.create(path, **attributes))


async def request(node, method, path, **options):
    loop = asyncio.get_running_loop()
    return await loop.run_in_executor(None, lambda: node.request(method, path, **options))


async def receive(session, encoding=JSON):
    frame = await asyncio.wait_for(session.recv(), SECONDS)
    if encoding == MSGPACK:
        assert isinstance(frame, bytes)
        event = msgpack.unpackb(frame)
        event["entity"] = msgpack.unpackb(event["entity"])
        return event
    assert isinstance(frame, str)
    return json.loads(frame)


async def subscribe(session, config, encoding=JSON):
    """Sends a filter and waits until it is in force: frames are read in order, so the pong
    to a ping behind it says so."""
    await session.send(json.dumps(config) if encoding == JSON else msgpack.packb(config))
    await asyncio.wait_for(await session.ping(), SECONDS)
