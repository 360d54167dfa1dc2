"""The pages by which a supervisor asks a worker what it needs to speak for all of them: plain numbers that can be added
up. They are on the socket of a worker only, which nobody but their own user can reach.
"""

from __future__ import annotations

import asyncio
import os
import secrets
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

import orjson
from aiohttp import web
from aiohttp.typedefs import Handler

from gateway.admin import exchange
from gateway.admin.ending import read_selection
from gateway.admin.exchange import answer
from gateway.admin.listing import read_listing
from gateway.admin.live import slices
from gateway.telemetry.instruments import INSTRUMENTS
from gateway.telemetry.series import Series
from gateway.telemetry.wired import packed

if TYPE_CHECKING:
    from gateway.admin.api import Operated
    from gateway.admin.census import Json
    from gateway.admin.view import Own

UNTIL = "Gateway-Until"  # loop seconds, which all processes of a machine share: who asked has given up by then


class Inner:
    """One method a page. `who` is this process and no other: what it counted began with it."""

    def __init__(self, gateway: Operated, view: Own) -> None:
        self._gateway = gateway
        self._view = view
        self._series = Series()
        self._turn = asyncio.Lock()  # readings, one after the other
        self._who = {"who": secrets.token_hex(8), "pid": os.getpid()}

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/inner/state", self.state),
            web.get("/inner/readings", self.readings),
            web.get("/inner/overview", self.overview),
            web.get("/inner/plots", self.plots),
            web.get("/inner/edges", self.edges),
            web.get("/inner/held", self.held),
            web.post("/inner/endable", self.endable),
            web.post("/inner/end", self.end),
        ]

    async def state(self, _: web.Request) -> web.Response:
        return answer(await self._state())

    async def _state(self) -> Json:
        held = 0
        for some in slices(self._gateway.sources().calls()):
            held += len(some)
            await asyncio.sleep(0)
        return self._said(held)

    def _said(self, held: int) -> Json:
        seen = self._gateway.sources()
        ready, detail = seen.ready
        connections, limit = seen.connections
        return {
            **self._who, "ready": ready, "detail": detail, "draining": seen.draining, "held": held,
            "connections": connections, "limit": limit, "log_lines_dropped": self._gateway.log_lines_dropped(),
        }  # fmt: skip

    async def readings(self, _: web.Request) -> web.Response:
        """Who it is, and then the readings, line by line."""
        async with self._turn:
            lines = [line async for line in self._lines()]
        return web.Response(body=b"".join(lines), content_type="application/x-ndjson")

    async def _lines(self) -> AsyncIterator[bytes]:
        yield orjson.dumps(await self._state(), option=orjson.OPT_APPEND_NEWLINE)
        seen, series = self._gateway.gauges(), self._series
        for line in packed((each, series.bounded(each, dict(each.read(seen)))) for each in INSTRUMENTS):
            yield line
            await asyncio.sleep(0)  # whoever is served meanwhile does not wait for the whole page

    async def overview(self, _: web.Request) -> web.Response:
        found = await self._view.gathered()
        held = sum(map(sum, [*found["held"].values(), found["more_held"]]))
        return answer({**found, "state": self._said(held)})

    async def plots(self, _: web.Request) -> web.Response:
        return answer({**await self._view.plotted(), "state": await self._state()})

    async def edges(self, _: web.Request) -> web.Response:
        return answer({"edges": await self._view.edging()})

    async def held(self, request: web.Request) -> web.Response:
        """A page with where each row stands in the list. The query was checked by who asks."""
        page = await self._gateway.held(read_listing(exchange.query(request)))
        return answer(page._asdict())

    async def endable(self, request: web.Request) -> web.Response:
        begun, others = await self._gateway.endable(read_selection(await exchange.asked(request)))
        return answer({"begun": begun, "not_endable": others})

    async def end(self, request: web.Request) -> web.Response:
        """Ends at most `limit` of the calls that the filter means, none that began later than `begun_by`."""
        order: Json = await exchange.asked(request)
        chosen = read_selection({**order["filter"], "limit": order["limit"]})
        wanted, begun_by = lambda: request.transport is not None, order["begun_by"]
        return answer((await self._gateway.end_held(chosen, wanted, begun_by))._asdict())


@web.middleware
async def in_time(request: web.Request, handler: Handler) -> web.StreamResponse:
    """A process that was stopped and goes on does nothing that its supervisor has given up on."""
    until = request.headers.get(UNTIL)
    if until is not None and asyncio.get_running_loop().time() > float(until):
        return answer({"error": "it is too late: who asked has given up"}, 408)
    return await handler(request)
