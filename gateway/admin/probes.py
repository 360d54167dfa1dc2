"""What supervisors ask the admin listener: whether the process lives, whether it takes calls, and numbers to scrape."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from aiohttp import web

from gateway.admin import metrics
from gateway.admin.exchange import answer
from gateway.telemetry.series import Series

if TYPE_CHECKING:
    from gateway.admin.api import Operated


class Probes:
    """One method a page."""

    def __init__(self, gateway: Operated) -> None:
        self._gateway = gateway
        self._series = Series()
        self._written = asyncio.Lock()  # pages of metrics, one after the other

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/healthz", self.healthz),
            web.get("/readyz", self.readyz),
            web.get("/metrics", self.metrics),
        ]

    async def healthz(self, _: web.Request) -> web.Response:
        return answer({"status": "ok", "log_lines_dropped": self._gateway.log_lines_dropped()})

    async def readyz(self, _: web.Request) -> web.Response:
        ready, detail = self._gateway.ready()
        return answer({"ready": ready, "detail": detail}, 200 if ready else 503)

    async def metrics(self, request: web.Request) -> web.Response:
        openmetrics = metrics.prefers_openmetrics(request.headers.get("Accept", ""))
        pieces = []
        async with self._written:
            for piece in metrics.write(self._series.read(self._gateway.gauges()), openmetrics):
                pieces.append(piece)
                await asyncio.sleep(0)  # whoever is served meanwhile does not wait for the whole page
        return web.Response(body="".join(pieces).encode(), headers={"Content-Type": metrics.content_type(openmetrics)})
