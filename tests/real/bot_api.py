"""A Bot API server as bots see the real one: a queue per bot, an offset that acknowledges, `timeout` in seconds that
ends in an empty list, and of two polls the newest wins while the older is told 409. Only what polling bots need.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any

from aiohttp import web

from .tap import Tap, tapped

CONFLICT = "Conflict: terminated by other getUpdates request; make sure that only one bot instance is running"
LONGEST = 50.0  # seconds


class BotQueue:
    """What waits for one bot. `timeouts` are those of its polls, `conflicts` counts the polls that lost."""

    def __init__(self) -> None:
        self.updates: list[dict[str, Any]] = []
        self.published = 0
        self.timeouts: list[float] = []
        self.conflicts = 0
        self.poll: asyncio.Future[bool] | None = None  # of the poll that is held: whether it may go on

    def publish(self, text: str) -> None:
        self.published += 1
        chat = {"id": 1, "type": "private"}
        message = {"message_id": self.published, "date": 0, "chat": chat, "text": text}
        self.updates.append({"update_id": self.published, "message": message})
        self._end_poll(True)

    async def get_updates(self, asked: dict[str, str]) -> web.Response:
        offset, timeout = int(asked.get("offset", 0)), min(float(asked.get("timeout", 0)), LONGEST)
        self._end_poll(False)
        self.timeouts.append(timeout)
        self.updates = [one for one in self.updates if one["update_id"] >= offset]
        if not self.updates and timeout > 0 and not await self._wait(timeout):
            self.conflicts += 1
            return failed(409, CONFLICT)
        return succeeded(self.updates[: int(asked.get("limit", 100))])

    async def _wait(self, timeout: float) -> bool:
        """Until there is news, the time has passed or another poll has come; False then."""
        mine = self.poll = asyncio.get_running_loop().create_future()
        try:
            return await asyncio.wait_for(mine, timeout)
        except TimeoutError:
            return True
        finally:
            self.poll = None if self.poll is mine else self.poll

    def _end_poll(self, goes_on: bool) -> None:
        if self.poll is not None and not self.poll.done():
            self.poll.set_result(goes_on)


def succeeded(result: object) -> web.Response:
    return web.json_response({"ok": True, "result": result})


def failed(status: int, description: str) -> web.Response:
    return web.json_response({"ok": False, "error_code": status, "description": description}, status=status)


class BotApi:
    def __init__(self, *tokens: str) -> None:
        self.bots = {token: BotQueue() for token in tokens}

    async def serve(self, request: web.Request) -> web.Response:
        """`/bot<token>/<method>`, with parameters in the query, a form or JSON."""
        bot = self.bots.get(request.match_info["token"])
        if bot is None:
            return failed(401, "Unauthorized")
        method = request.match_info["method"].lower()
        if method == "getme":
            return succeeded({"id": 1, "is_bot": True, "first_name": "Test", "username": "test_bot"})
        if method == "deletewebhook":
            return succeeded(True)
        if method != "getupdates":
            return failed(404, "Not Found")
        asked = dict(request.query) | {key: str(value) for key, value in (await request.post()).items()}
        if request.content_type == "application/json":
            asked |= {key: str(value) for key, value in json.loads(await request.read()).items()}
        return await bot.get_updates(asked)


@contextlib.asynccontextmanager
async def serving(*tokens: str) -> AsyncIterator[tuple[BotApi, Tap]]:
    """The server, with a tap before it. A poll whose connection is closed ends there and then."""
    api, app = BotApi(*tokens), web.Application()
    app.router.add_route("*", "/bot{token}/{method}", api.serve)
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        async with tapped(runner.addresses[0][1]) as tap:
            yield api, tap
    finally:
        await runner.cleanup()
