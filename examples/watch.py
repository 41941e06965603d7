"""Prints the events of a Kujata server: python3 watch.py ws://127.0.0.1:8080/events"""

import asyncio
import json
import sys

import websockets


async def watch(url):
    async with websockets.connect(url) as session:
        await session.send(json.dumps({"identities": {"task": ["create", "update"], "list": []}}))
        async for message in session:
            event = json.loads(message)
            print(event["type"], event["identity"], event["entity"]["ID"], flush=True)


asyncio.run(watch(sys.argv[1]))
