"""The pages of what the gateway is made of, of all workers: its routes, its upstreams, its limits, and its workers."""

from __future__ import annotations

from aiohttp import web

from gateway.admin.counts import read_pairs
from gateway.admin.exchange import answer
from gateway.machine.admin.answers import of_those
from gateway.machine.admin.asking import Asking, named
from gateway.machine.admin.counted import one_list
from gateway.machine.admin.parts import of_upstreams
from gateway.machine.admin.states import States


class Parts:
    """One method a page."""

    def __init__(self, asking: Asking, states: States) -> None:
        self._asking = asking
        self._states = states

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/api/routes", self.list_routes),
            web.get("/api/upstreams", self.upstreams),
            web.get("/api/limits", self.limits),
            web.get("/api/workers", self.workers),
        ]

    async def list_routes(self, _: web.Request) -> web.Response:
        """All workers have the same."""
        asked = await self._asking.all("/api/routes")
        found: list[object] = next((each.json["routes"] for each in asked.told), [])
        return of_those(asked, {"routes": found})

    async def upstreams(self, _: web.Request) -> web.Response:
        asked = await self._asking.all("/api/upstreams")
        found = of_upstreams([(each.number, each.json["upstreams"]) for each in asked.told])
        return of_those(asked, {"upstreams": found})

    async def limits(self, request: web.Request) -> web.Response:
        try:
            read_pairs(list(request.query.items()))
        except ValueError as error:
            return answer({"error": str(error)}, 400)
        asked = await self._asking.all("/api/limits", request.query)
        return of_those(asked, {"limits": one_list([each.json["limits"] for each in asked.told])})

    async def workers(self, _: web.Request) -> web.Response:
        seen = await self._states.look()
        return answer({"workers": seen.workers, **named(seen.missing)})
