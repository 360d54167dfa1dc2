"""The socket of the admin side: opened with the gateway, closed last."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Callable

from aiohttp import web

from gateway.admin.doors import BUSY, Doors
from gateway.admin.exchange import Quiet
from gateway.admin.guard import Access, access
from gateway.config.references import read_secret
from gateway.config.schema import Admin
from gateway.edge.listen import bind, unbind

logger = logging.getLogger("gateway")


class AdminListener:
    """`await start()`, then `port` is the one really listened on. Raises OSError and ValueError from `start`. `make` is
    what makes the application: a gateway's own or, with several workers, its supervisor's."""

    def __init__(self, admin: Admin, make: Callable[[Access], web.Application]) -> None:
        self.port: int | None = None
        self._admin = admin
        token = read_secret(admin.token, os.environ) if admin.token is not None else None
        self._doors: list[Doors] = []
        self._application = make(access(admin, token))
        self._runner = web.AppRunner(self._application, access_log=None, logger=Quiet(logger), shutdown_timeout=0.1)

    async def start(self) -> None:
        await self._runner.setup()
        server = self._runner.server
        assert server is not None
        for sock in bind(self._admin.listen):
            self._doors.append(Doors(sock, server, self._application[BUSY]))
            if sock.family != socket.AF_UNIX:
                self.port = sock.getsockname()[1]
        logger.info("admin on %s", self._admin.listen)

    async def stop(self) -> None:
        for doors in self._doors:
            doors.close()
        if self._doors:  # else the file of a unix socket is somebody else's
            unbind(self._admin.listen)
        await self._runner.cleanup()
