"""A small push server that can be told to do it wrong: what a message on /pub says goes to the others."""

import asyncio
import re
import threading

import websockets

MARK = re.compile(r"~kj~[0-9a-f]{4}([0-9a-f]{8})([0-9a-f]{16})~")


def mark(message):
    """The number of an event and the time it was planned for, in ns of the monotonic clock."""
    found = MARK.search(message)
    return int(found[1], 16), int(found[2], 16)


class Relay:
    """`deliver(socket, index, number, message)`, a coroutine, is called for each event and each
    subscriber in the order in which they came."""

    def __init__(self, deliver, **options):
        self.deliver = deliver
        self.subscribers = []
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()
        self.server = self._call(self._begin(options))
        self.port = self.server.sockets[0].getsockname()[1]

    def _call(self, coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(20)

    async def _begin(self, options):
        return await websockets.serve(self._handle, "127.0.0.1", 0, compression=None, **options)

    async def _handle(self, socket, path):
        if path != "/pub":
            self.subscribers.append(socket)
            await socket.wait_closed()
            return
        async for message in socket:
            for index, subscriber in enumerate(self.subscribers):
                await self.deliver(subscriber, index, mark(message)[0], message)

    def stop(self):
        async def end():
            self.server.close()
            await self.server.wait_closed()

        self._call(end())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(20)
