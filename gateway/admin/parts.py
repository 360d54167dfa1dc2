"""The pages of what the gateway is made of: its routes, its upstreams, its limits and how full they are."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiohttp import web

from gateway.admin.counts import read_pairs
from gateway.admin.exchange import answer

if TYPE_CHECKING:
    from gateway.admin.api import Operated


class Parts:
    """One method a page."""

    def __init__(self, gateway: Operated) -> None:
        self._gateway = gateway

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/api/routes", self.list_routes),
            web.get("/api/upstreams", self.upstreams),
            web.get("/api/limits", self.limits),
        ]

    async def list_routes(self, _: web.Request) -> web.Response:
        return answer({"routes": self._gateway.routes()})

    async def upstreams(self, _: web.Request) -> web.Response:
        return answer({"upstreams": self._gateway.upstreams()})

    async def limits(self, request: web.Request) -> web.Response:
        try:
            pairs = read_pairs(list(request.query.items()))
        except ValueError as error:
            return answer({"error": str(error)}, 400)
        return answer({"limits": self._gateway.limits(pairs)})
