"""What supervisors ask a machine: whether it lives, whether it takes calls, and numbers to scrape, of all workers as
one gateway.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import orjson
from aiohttp import web

from gateway.admin import metrics
from gateway.admin.exchange import answer
from gateway.machine.admin.asking import Asking, Told, named
from gateway.machine.admin.ledger import Ledger
from gateway.machine.admin.states import States
from gateway.machine.admin.summing import Readings, after, remains, together
from gateway.telemetry.instruments import INSTRUMENTS, Gauges
from gateway.telemetry.series import Found, Reading, Series
from gateway.telemetry.series import named as with_names
from gateway.telemetry.wired import unpack
from gateway.telemetry.workers import WORKERS

KNOWN = {each.name: each for each in INSTRUMENTS}


class Probes:
    """One method a page."""

    def __init__(self, asking: Asking, states: States) -> None:
        self._asking = asking
        self._states = states
        self._series = Series()
        self._ledger: Ledger[Readings] = Ledger(remains, after)
        self._written = asyncio.Lock()  # pages of metrics, one after the other

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/healthz", self.healthz),
            web.get("/readyz", self.readyz),
            web.get("/metrics", self.metrics),
        ]

    async def healthz(self, _: web.Request) -> web.Response:
        seen = await self._states.look()
        return answer({"status": "ok", "log_lines_dropped": seen.log_lines_dropped, **named(seen.missing)})

    async def readyz(self, _: web.Request) -> web.Response:
        seen = await self._states.look()
        told = {"ready": seen.ready, "detail": seen.detail, **named(seen.missing)}
        return answer(told, 200 if seen.ready else 503)

    async def metrics(self, request: web.Request) -> web.Response:
        openmetrics = metrics.prefers_openmetrics(request.headers.get("Accept", ""))
        pieces = []
        async with self._written:
            readings = [reading async for reading in self._readings()]
            for piece in metrics.write(readings, openmetrics):
                pieces.append(piece)
                await asyncio.sleep(0)  # what workers have to say to each other does not wait for the whole page
        return web.Response(body="".join(pieces).encode(), headers={"Content-Type": metrics.content_type(openmetrics)})

    async def _readings(self) -> AsyncIterator[Reading]:
        asked = await self._asking.all("/inner/readings")
        for told in asked.told:
            await self._tell(told)
        parts = list(self._ledger.parts(self._states.alive()))
        for each in INSTRUMENTS:
            found: Found = {}
            for some in together(each, parts):
                found |= some
                await asyncio.sleep(0)
            yield with_names(each, self._series.bounded(each, found))
        seen = Gauges(held={}, connections=0, log_lines_dropped=0, draining=False, workers=self._states.manned())
        for each in WORKERS:
            yield with_names(each, dict(each.read(seen)))

    async def _tell(self, told: Told) -> None:
        first, *lines = told.body.splitlines()
        state, readings = orjson.loads(first), dict[str, Found]()
        self._states.tell(told.number, state)
        for line in lines:
            unpack(line, KNOWN, readings)
            await asyncio.sleep(0)
        self._ledger.tell(told.number, state["who"], state["pid"], readings)
