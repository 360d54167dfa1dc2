"""What supervisors ask the admin listener: whether the process lives, whether it takes calls, and numbers to scrape."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiohttp import web

from gateway.admin import metrics
from gateway.admin.exchange import answer

if TYPE_CHECKING:
    from gateway.admin.api import Operated


class Probes:
    """One method a page."""

    def __init__(self, gateway: Operated) -> None:
        self._gateway = gateway
        self._registry = metrics.registry(gateway.gauges)

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
        body, content_type = metrics.expose(self._registry, request.headers.get("Accept", ""))
        return web.Response(body=body, headers={"Content-Type": content_type})
