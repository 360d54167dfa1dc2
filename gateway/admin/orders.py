"""The pages that change the whole gateway: another configuration, or the end."""

from __future__ import annotations

from typing import Protocol

from aiohttp import web

from gateway.admin.exchange import answer


class Ordered(Protocol):
    """Who is told so: one process, or all of a machine."""

    async def reload(self) -> list[str]:
        """Puts the configuration on disk in force. Its problems, one line each; none when it is live."""

    def begin_drain(self) -> dict[str, object]:
        """Begins the end, once; what there is to say about it."""


class Orders:
    """One method a page."""

    def __init__(self, gateway: Ordered) -> None:
        self._gateway = gateway

    def routes(self) -> list[web.RouteDef]:
        return [web.post("/api/reload", self.reload), web.post("/api/drain", self.drain)]

    async def reload(self, _: web.Request) -> web.Response:
        problems = await self._gateway.reload()
        return answer({"reloaded": False, "problems": problems}, 422) if problems else answer({"reloaded": True})

    async def drain(self, _: web.Request) -> web.Response:
        return answer(self._gateway.begin_drain(), 202)
