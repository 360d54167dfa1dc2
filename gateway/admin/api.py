"""The admin listener's pages: an aiohttp.web application over what `app` can tell and do. Who may ask is decided in
`guard`, how requests and answers look in `exchange`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

from aiohttp import web

from gateway.admin import exchange, guard, metrics
from gateway.admin.counts import Pairs, read_pairs
from gateway.admin.doors import BUSY
from gateway.admin.ending import Ended, Selection, read_selection
from gateway.admin.exchange import answer
from gateway.config.problems import ConfigError
from gateway.telemetry.series import Series

MAX_LISTED = 1000


class Operated(Protocol):
    """What the admin side may ask of the running gateway."""

    def ready(self) -> tuple[bool, str]: ...

    def log_lines_dropped(self) -> int: ...

    def held(self, limit: int) -> dict[str, object]: ...

    def routes(self) -> list[dict[str, object]]: ...

    def limits(self, pairs: Pairs) -> list[dict[str, object]]: ...

    def gauges(self) -> metrics.Gauges: ...

    async def end_held(self, chosen: Selection, wanted: Callable[[], bool]) -> Ended:
        """Ends what is chosen, for as long as `wanted()`."""

    async def reload(self) -> list[str]:
        """Puts the configuration on disk in force. Its problems, one line each; none when it is live."""

    def begin_drain(self) -> dict[str, object]:
        """Begins the end of the process, once; what there is to say about it."""


def make_admin(gateway: Operated, access: guard.Access) -> web.Application:
    """The application."""
    admin = web.Application(middlewares=[exchange.guarded(access)], client_max_size=exchange.MAX_BODY)
    admin[BUSY] = set()
    admin.on_response_prepare.append(exchange.finish)
    pages = Pages(gateway)
    admin.router.add_get("/healthz", pages.healthz)
    admin.router.add_get("/readyz", pages.readyz)
    admin.router.add_get("/metrics", pages.metrics)
    admin.router.add_get("/api/held", pages.held)
    admin.router.add_get("/api/routes", pages.routes)
    admin.router.add_get("/api/limits", pages.limits)
    admin.router.add_post("/api/held/end", pages.end_held)
    admin.router.add_post("/api/reload", pages.reload)
    admin.router.add_post("/api/drain", pages.drain)
    return admin


class Pages:
    """One method a page."""

    def __init__(self, gateway: Operated) -> None:
        self._gateway = gateway
        self._series = Series()

    async def healthz(self, _: web.Request) -> web.Response:
        return answer({"status": "ok", "log_lines_dropped": self._gateway.log_lines_dropped()})

    async def readyz(self, _: web.Request) -> web.Response:
        ready, detail = self._gateway.ready()
        return answer({"ready": ready, "detail": detail}, 200 if ready else 503)

    async def metrics(self, request: web.Request) -> web.Response:
        openmetrics = metrics.prefers_openmetrics(request.headers.get("Accept", ""))
        pieces = []
        for piece in metrics.write(self._series.read(self._gateway.gauges()), openmetrics):
            pieces.append(piece)
            await asyncio.sleep(0)  # whoever is served meanwhile does not wait for the whole page
        return web.Response(body="".join(pieces).encode(), headers={"Content-Type": metrics.content_type(openmetrics)})

    async def held(self, request: web.Request) -> web.Response:
        text = request.query.get("limit", "100")
        limit = int(text) if text.isdecimal() and len(text) < 6 else 100
        return answer(self._gateway.held(min(limit, MAX_LISTED)))

    async def routes(self, _: web.Request) -> web.Response:
        return answer({"routes": self._gateway.routes()})

    async def limits(self, request: web.Request) -> web.Response:
        try:
            pairs = read_pairs(list(request.query.items()))
        except ValueError as error:
            return answer({"error": str(error)}, 400)
        return answer({"limits": self._gateway.limits(pairs)})

    async def end_held(self, request: web.Request) -> web.Response:
        try:
            chosen = read_selection(await exchange.asked(request))
        except ConfigError as error:
            return answer({"error": "the filter cannot be used", "problems": [str(one) for one in error.problems]}, 400)
        done = await self._gateway.end_held(chosen, lambda: request.transport is not None)
        if chosen.dry_run:
            return answer({"dry_run": True, "would_end": done.ended, "not_endable": done.not_endable})
        return answer(done._asdict())

    async def reload(self, _: web.Request) -> web.Response:
        problems = await self._gateway.reload()
        return answer({"reloaded": False, "problems": problems}, 422) if problems else answer({"reloaded": True})

    async def drain(self, _: web.Request) -> web.Response:
        return answer(self._gateway.begin_drain(), 202)
