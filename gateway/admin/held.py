"""The pages of what is held now: they list it and end it, by the same words."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from aiohttp import web

from gateway.admin import exchange
from gateway.admin.ending import read_selection
from gateway.admin.exchange import answer
from gateway.admin.listing import read_listing, told
from gateway.config.problems import ConfigError

if TYPE_CHECKING:
    from gateway.admin.api import Operated


class Held:
    """One method a page."""

    def __init__(self, gateway: Operated) -> None:
        self._gateway = gateway
        self._turn = asyncio.Lock()  # one looks through everything at a time, or the slices of all would be one

    def routes(self) -> list[web.RouteDef]:
        return [web.get("/api/held", self.list), web.post("/api/held/end", self.end)]

    async def list(self, request: web.Request) -> web.Response:
        try:
            asked = read_listing(exchange.query(request))
        except ConfigError as error:
            return exchange.wrong("the query cannot be used", error)
        async with self._turn:
            return answer(told(await self._gateway.held(asked), asked.sort))

    async def end(self, request: web.Request) -> web.Response:
        try:
            chosen = read_selection(await exchange.asked(request))
        except ConfigError as error:
            return exchange.wrong("the filter cannot be used", error)
        done = await self._gateway.end_held(chosen, lambda: request.transport is not None)
        if chosen.dry_run:
            return answer({"dry_run": True, "would_end": done.ended, "not_endable": done.not_endable})
        return answer(done._asdict())
