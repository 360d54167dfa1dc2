"""The demo's long-poll service: news with a history, polls held until there is something newer than the
client's cursor. An ordinary aiohttp application that knows nothing of the gateway put before it.
"""

from __future__ import annotations

import asyncio
import itertools
import secrets
import time
from collections import Counter, deque
from dataclasses import dataclass, field
from importlib.resources import files
from typing import NamedTuple

import orjson
from aiohttp import web

HISTORY, RECENT = 1000, 20  # events kept; events told to a client without a cursor
LONGEST_HOLD = 60.0  # seconds
MAX_BODY, MAX_MESSAGE = 16 * 1024, 2000  # bytes, characters


class Event(NamedTuple):
    """One piece of news. `at` is Unix seconds."""

    id: int
    message: str
    at: float

    def as_dict(self) -> dict[str, object]:
        return self._asdict()


@dataclass(slots=True)
class Board:
    """The history and everyone who waits for what comes next."""

    hold: float
    empty_status: int = 200
    history: deque[Event] = field(default_factory=lambda: deque(maxlen=HISTORY))
    waiting: set[asyncio.Future[None]] = field(default_factory=set)
    counts: Counter[str] = field(default_factory=Counter)
    closing: bool = False

    def publish(self, message: str, now: float) -> Event:
        """Adds an event and wakes every held poll."""
        event = Event(self.newest + 1, message, now)
        self.history.append(event)
        self.counts["published"] += 1
        self.wake()
        return event

    @property
    def newest(self) -> int:
        return self.history[-1].id if self.history else 0

    def wake(self) -> None:
        for waiter in self.waiting:
            if not waiter.done():
                waiter.set_result(None)

    def after(self, cursor: int) -> list[Event]:
        """The events with a greater id, oldest first."""
        return list(itertools.takewhile(lambda event: event.id > cursor, reversed(self.history)))[::-1]

    async def news(self, cursor: int, hold: float) -> list[Event]:
        """Waits up to `hold` seconds for events after `cursor`; [] when none came."""
        if self.newest <= cursor and hold > 0 and not self.closing:
            waiter = asyncio.get_running_loop().create_future()
            self.waiting.add(waiter)
            try:
                async with asyncio.timeout(hold):
                    await waiter
            except TimeoutError:
                pass
            except asyncio.CancelledError:
                self.counts["gone"] += 1  # the client left: aiohttp cancels its handler
                raise
            finally:
                self.waiting.discard(waiter)
        return self.after(cursor)


BOARD = web.AppKey("board", Board)


def make_app(hold: float = 25.0, *, empty_status: int = 200) -> web.Application:
    """The service. `hold` is how many seconds a poll waits that does not say; `empty_status` 204 says "no
    news" with a 204 instead of `[]`. Run it with `handler_cancellation=True`, or nobody sees a client leave.
    """
    app = web.Application(client_max_size=MAX_BODY)
    app[BOARD] = Board(hold, empty_status)
    app.router.add_get("/updates", updates)
    app.router.add_post("/publish", publish)
    app.router.add_get("/stats", stats)
    app.router.add_get("/", page)
    app.on_shutdown.append(_end_polls)
    return app


async def start(app: web.Application, port: int = 0) -> tuple[web.AppRunner, int]:
    """Serves the application on a loopback port (0 = a free one). End it with `await runner.cleanup()`."""
    runner = web.AppRunner(app, handler_cancellation=True, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    return runner, runner.addresses[0][1]


async def updates(request: web.Request) -> web.Response:
    """GET /updates?last_event_id=N&timeout=S: news after N once there is any, `[]` if S seconds had none."""
    board = request.app[BOARD]
    cursor = request.query.get("last_event_id")
    if cursor is None:
        return _answer(board, list(board.history)[-RECENT:])
    if not (cursor.isascii() and cursor.isdigit() and len(cursor) < 19):
        return _refuse(400, "last_event_id must be a whole number, 0 or more")
    try:
        hold = min(float(request.query.get("timeout", board.hold)), LONGEST_HOLD)
    except ValueError:
        hold = -1.0
    if not hold >= 0:
        return _refuse(400, "timeout must be a number of seconds, 0 or more")
    news = await board.news(int(cursor), hold)
    if not news and (request.query.get("empty") == "204" or board.empty_status == 204):
        board.counts["empty"] += 1
        return web.Response(status=204, headers=_NO_STORE)
    return _answer(board, news)


async def publish(request: web.Request) -> web.Response:
    """POST /publish: a message as JSON `{"message": ".."}`, as a form field `message`, or as plain text."""
    message = (await _message(request) or "").strip()
    if not message or len(message) > MAX_MESSAGE:
        return _refuse(400, f'send {{"message": ".."}} with 1 to {MAX_MESSAGE} characters')
    return _json({"id": request.app[BOARD].publish(message, time.time()).id}, 201)


async def _message(request: web.Request) -> str | None:
    try:
        if request.content_type == "application/x-www-form-urlencoded":
            value = (await request.post()).get("message")
        elif request.content_type == "application/json":
            data = orjson.loads(await request.read())
            value = data.get("message") if isinstance(data, dict) else None
        else:
            value = await request.text()
    except (ValueError, LookupError):  # not JSON, not UTF-8, an unknown charset
        return None
    return value if isinstance(value, str) else None


async def stats(request: web.Request) -> web.Response:
    """GET /stats: polls held now, and how many ended in what since the start."""
    board = request.app[BOARD]
    ended = {name: board.counts[name] for name in ("published", "answered", "empty", "gone")}
    return _json({"held": len(board.waiting), **ended})


async def page(request: web.Request) -> web.Response:
    """GET /: the page that shows news arriving. Only its own script and style may run."""
    nonce = secrets.token_urlsafe(16)
    html = (files(__package__) / "page.html").read_text("utf-8").replace("{nonce}", nonce)
    policy = (
        f"default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; connect-src 'self'; "
        "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    headers = {"Content-Security-Policy": policy, "Referrer-Policy": "no-referrer", **_NO_STORE}
    return web.Response(text=html, content_type="text/html", charset="utf-8", headers=headers)


async def _end_polls(app: web.Application) -> None:
    app[BOARD].closing = True
    app[BOARD].wake()


_NO_STORE = {"Cache-Control": "no-store"}


def _json(data: object, status: int = 200) -> web.Response:
    return web.Response(body=orjson.dumps(data), status=status, content_type="application/json", headers=_NO_STORE)


def _answer(board: Board, events: list[Event]) -> web.Response:
    board.counts["answered" if events else "empty"] += 1
    return _json([event.as_dict() for event in events])


def _refuse(status: int, why: str) -> web.Response:
    return _json({"error": why}, status)
