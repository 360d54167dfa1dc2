"""A service that speaks the OpenAI API as its clients see it: completions that are made token by token, streamed as
server-sent events, and paid by whoever shows the service's own key. What a model says next is up to the test.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any

from aiohttp import web

KEY = "sk-the-key-of-the-service-that-no-client-may-ever-see"
PAYER = {"OpenAI-Organization": "the-payer", "Set-Cookie": "__cf_bm=of-the-payer; Path=/"}


class Generation:
    """One completion that was asked for. `ended` says how: "" while it is made, then "finished", "left" or "cut"."""

    def __init__(self, request: web.Request, asked: dict[str, Any]) -> None:
        self.headers = request.headers.copy()
        self.asked = asked
        self.ended = ""
        self._tokens: asyncio.Queue[str | None] = asyncio.Queue()
        self._transport = request.transport

    def say(self, *tokens: str) -> None:
        for token in tokens:
            self._tokens.put_nowait(token)

    def finish(self) -> None:
        self._tokens.put_nowait(None)

    def cut(self) -> None:
        """The service dies in the middle of a word."""
        assert self._transport is not None
        self.ended = "cut"
        self._transport.abort()

    async def answer(self, request: web.Request) -> web.StreamResponse:
        try:
            made = await (self._stream(request) if self.asked.get("stream") else self._whole())
            self.ended = "finished"
        except (asyncio.CancelledError, ConnectionError):
            self.ended = self.ended or "left"
            raise
        return made

    async def _stream(self, request: web.Request) -> web.StreamResponse:
        """Every token in an event of its own, as soon as there is one."""
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream; charset=utf-8", **PAYER})
        await response.prepare(request)
        while (token := await self._tokens.get()) is not None:
            await response.write(self._event({"content": token}))
        await response.write_eof(self._event({}, "stop") + b"data: [DONE]\n\n")
        return response

    async def _whole(self) -> web.StreamResponse:
        """Silence, and then everything at once."""
        tokens = []
        while (token := await self._tokens.get()) is not None:
            tokens.append(token)
        message = {"role": "assistant", "content": "".join(tokens)}
        document = self._document("chat.completion", {"message": message, "finish_reason": "stop"})
        return web.json_response(document, headers=PAYER)

    def _event(self, delta: dict[str, str], reason: str | None = None) -> bytes:
        document = self._document("chat.completion.chunk", {"delta": delta, "finish_reason": reason})
        return b"data: %b\n\n" % json.dumps(document).encode()

    def _document(self, kind: str, choice: dict[str, Any]) -> dict[str, Any]:
        base = {"id": "chatcmpl-1", "object": kind, "created": 1, "model": self.asked["model"]}
        return {**base, "choices": [{"index": 0, **choice}]}


class Service:
    """`generations` in the order in which they were asked for; `busy` times it says that it has no room."""

    def __init__(self) -> None:
        self.port = 0
        self.generations: list[Generation] = []
        self.most_running = 0
        self.busy = 0

    @property
    def running(self) -> list[Generation]:
        return [one for one in self.generations if not one.ended]

    async def complete(self, request: web.Request) -> web.StreamResponse:
        if request.headers.getall("Authorization", []) != [f"Bearer {KEY}"]:
            return failed(401, "Incorrect API key provided", "invalid_api_key")
        if self.busy:
            self.busy -= 1
            return failed(429, "The engine is overloaded", "rate_limit_exceeded", {"retry-after-ms": "1"})
        one = Generation(request, await request.json())
        self.generations.append(one)
        self.most_running = max(self.most_running, len(self.running))
        return await one.answer(request)


def failed(status: int, message: str, code: str, headers: dict[str, str] | None = None) -> web.Response:
    error = {"message": message, "type": "requests", "param": None, "code": code}
    return web.json_response({"error": error}, status=status, headers=headers)


@contextlib.asynccontextmanager
async def serving() -> AsyncIterator[Service]:
    """A completion whose connection is closed ends there and then."""
    service, app = Service(), web.Application()
    app.router.add_post("/v1/chat/completions", service.complete)
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    service.port = runner.addresses[0][1]
    try:
        yield service
    finally:
        await runner.cleanup()
