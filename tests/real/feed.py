"""A feed of server-sent events that keeps its history: who comes back with `Last-Event-ID` gets what came meanwhile.
Every event is written in two pieces, as a service under load may.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator

from aiohttp import web


class Reading:
    """One stream. `since` is the Last-Event-ID it came with; `ended` is "" while it is open, then "left" or "cut"."""

    def __init__(self, request: web.Request) -> None:
        self.headers = request.headers.copy()
        self.since = request.headers.get("Last-Event-ID")
        self.ended = ""
        self._transport = request.transport

    def cut(self) -> None:
        """The service dies in the middle of an event."""
        assert self._transport is not None
        self.ended = "cut"
        self._transport.abort()


class Feed:
    """`readings` in the order in which they began."""

    def __init__(self) -> None:
        self.port = 0
        self.items: list[str] = []
        self.readings: list[Reading] = []
        self.most_open = 0
        self._news = asyncio.Condition()

    @property
    def open(self) -> list[Reading]:
        return [one for one in self.readings if not one.ended]

    async def publish(self, *items: str) -> None:
        async with self._news:
            self.items += items
            self._news.notify_all()

    async def serve(self, request: web.Request) -> web.StreamResponse:
        one = Reading(request)
        self.readings.append(one)
        self.most_open = max(self.most_open, len(self.open))
        try:
            return await self._stream(request, int(one.since or 0))
        finally:
            one.ended = one.ended or "left"

    async def _stream(self, request: web.Request, since: int) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream;charset=UTF-8"})
        await response.prepare(request)
        await response.write(b"retry: 5\n\n")
        while True:
            async with self._news:
                await self._news.wait_for(lambda since=since: len(self.items) > since)  # type: ignore[misc]
            for number in range(since + 1, len(self.items) + 1):
                await response.write(b": comments are for nobody\nid: %d\nevent: item\n" % number)
                await response.write(b"data: %b\n\n" % json.dumps(self.items[number - 1]).encode())
            since = len(self.items)


@contextlib.asynccontextmanager
async def serving() -> AsyncIterator[Feed]:
    """A stream whose connection is closed ends there and then."""
    feed, app = Feed(), web.Application()
    app.router.add_get("/events", feed.serve)
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    feed.port = runner.addresses[0][1]
    try:
        yield feed
    finally:
        await runner.cleanup()
