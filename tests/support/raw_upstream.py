"""An upstream that answers with given bytes, in given pieces."""

import asyncio
import json
import threading


class RawUpstream:
    """`on(mark, pieces, close)`: what the request of that mark gets. Everything else gets 404."""

    def __init__(self):
        self.answers = {}
        self.connections = 0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._server = asyncio.run_coroutine_threadsafe(
            asyncio.start_server(self._serve, "127.0.0.1", 0), self._loop
        ).result(10)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/v1"

    def close(self):
        self._loop.call_soon_threadsafe(self._server.close)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(timeout=10)

    def on(self, mark, pieces, close=False):
        self.answers[mark] = (pieces, close)

    async def _serve(self, reader, writer):
        self.connections += 1
        try:
            while await self._one(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        writer.close()

    async def _one(self, reader, writer):
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
        length = next((int(x[15:]) for x in head.split("\r\n") if x.startswith("content-length:")), 0)
        body = await reader.readexactly(length)
        mark = json.loads(body)["messages"][-1]["content"] if body else None
        none = b"HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n"
        pieces, close = self.answers.get(mark, ([none], False))
        for n, piece in enumerate(pieces):
            if n > 0:
                await asyncio.sleep(0.002)  # a piece of its own to who reads
            writer.write(piece)
            await writer.drain()
        return not close
