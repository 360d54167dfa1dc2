"""`GET /api/stream`: the overview once a second as server-sent events. One producer for all who watch, none while
nobody does; whoever cannot keep up misses a second, and is left when he takes nothing: nothing is ever queued.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

import orjson
from aiohttp import web

from gateway.admin.exchange import answer

MOST = 10  # who may watch at once: each keeps a connection of the few there are (`doors`)
PERIOD = 1.0  # seconds from one overview to the next
PATIENCE = 5.0  # seconds for what was sent to be taken
RETRY = 2000  # milliseconds after which a browser comes back

Make = Callable[[], Awaitable[Mapping[str, object]]]


class Stream:
    """Sends what `make` makes. `close()` ends it for everybody."""

    def __init__(self, make: Make) -> None:
        self.watchers = 0
        self._make = make
        self._frame = b""
        self._fresh = asyncio.Condition()
        self._producer: asyncio.Task[None] | None = None
        self._closed = False

    async def watch(self, request: web.Request) -> web.StreamResponse:
        """The page: as long as somebody watches."""
        if self.watchers >= MOST or self._closed:
            error = f"{MOST} watch already; close one of the other windows" if not self._closed else "the gateway ends"
            return answer({"error": error}, 503, {"Retry-After": "2"})
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "X-Accel-Buffering": "no"})
        self._enter()
        try:
            await response.prepare(request)
            async for frame in _frames(self):
                async with asyncio.timeout(PATIENCE):
                    await response.write(frame)
        except TimeoutError:
            if request.transport is not None:
                request.transport.abort()
        except ConnectionError:
            pass
        finally:
            self._leave()
        return response

    @property
    def watched(self) -> bool:
        return self.watchers > 0 and not self._closed

    async def next(self, last: bytes) -> bytes:
        """The first frame after `last`, or none when it is over."""
        async with self._fresh:
            await self._fresh.wait_for(lambda: self._closed or (self._frame is not last and bool(self._frame)))
        return b"" if self._closed else self._frame

    async def close(self) -> None:
        self._closed = True
        if self._producer is not None:
            self._producer.cancel()
        async with self._fresh:
            self._fresh.notify_all()

    def _enter(self) -> None:
        self.watchers += 1
        if self._producer is None:
            self._frame = b""
            self._producer = asyncio.ensure_future(self._produce())

    def _leave(self) -> None:
        self.watchers -= 1
        if not self.watchers and self._producer is not None:
            self._producer.cancel()
            self._producer = None

    async def _produce(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            begun = loop.time()
            try:
                self._frame = written(await self._make())
            except Exception as error:  # the next second may be better; silence would look like a dead gateway
                loop.call_exception_handler({"message": "the overview failed", "exception": error})
                self._frame = written({"error": "an error of the gateway's own; its log says more"})
            async with self._fresh:
                self._fresh.notify_all()
            await asyncio.sleep(max(PERIOD - (loop.time() - begun), PERIOD / 2))


async def _frames(stream: Stream) -> AsyncIterator[bytes]:
    yield b"retry: %d\n\n" % RETRY
    frame = b""
    while frame := await stream.next(frame):
        yield frame


def written(overview: Mapping[str, object]) -> bytes:
    """One event. JSON has no line break in it."""
    return b"event: overview\ndata: %b\n\n" % orjson.dumps(overview)
