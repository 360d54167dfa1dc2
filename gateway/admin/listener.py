"""The socket of the admin side: opened with the gateway, closed last."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Callable, Collection

from aiohttp import web

from gateway.admin.doors import BUSY, Doors
from gateway.admin.exchange import Quiet
from gateway.admin.guard import Access, access
from gateway.config.references import read_secret
from gateway.config.schema import Admin
from gateway.edge.listen import NOTHING, Bound, Given, bind_some

logger = logging.getLogger("gateway")


class AdminListener:
    """`await start()`, then `port` is the one really listened on. Raises OSError and ValueError from `start`. `make` is
    what makes the application: a gateway's own or, with several workers, its supervisor's. An `inner` one is for that
    supervisor only, so operators are not told of it."""

    def __init__(
        self, admin: Admin, make: Callable[[Access], web.Application], given: Given = NOTHING, inner: bool = False
    ) -> None:
        self.port: int | None = None
        self._admin = admin
        self._inner = inner
        token = read_secret(admin.token, os.environ) if admin.token is not None else None
        self._given = given
        self.bound = Bound({})
        self._doors: list[Doors] = []
        self._application = make(access(admin, token))
        self._runner = web.AppRunner(self._application, access_log=None, logger=Quiet(logger), shutdown_timeout=0.1)

    async def start(self) -> None:
        await self._runner.setup()
        server = self._runner.server
        assert server is not None
        self.bound = bind_some((self._admin.listen,), given=self._given)
        for sock in self.bound.sockets[str(self._admin.listen)]:
            self._doors.append(Doors(sock, server, self._application[BUSY]))
            if sock.family != socket.AF_UNIX:
                self.port = sock.getsockname()[1]
        logger.log(logging.DEBUG if self._inner else logging.INFO, "admin on %s", self._admin.listen)

    def hand_over(self, addresses: Collection[str]) -> None:
        """Takes nobody new: where its own is among these addresses another process does. Whoever is connected is
        answered."""
        self.bound.own(addresses)
        self.bound.unbind()
        for doors in self._doors:
            doors.leave()

    async def stop(self) -> None:
        self.bound.unbind()
        for doors in self._doors:
            doors.close()
        await self._runner.cleanup()
