"""The connections of the admin listener. Few, and a silent one makes way for the next: whoever reaches the listener,
with a token or without, can neither take the descriptors by which polls are served nor keep the operator out.
"""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING

from aiohttp import web

if TYPE_CHECKING:
    from aiohttp.web_protocol import RequestHandler

    Handler = RequestHandler

MOST = 16  # connections; the headroom of descriptors has place for them
PAUSE = 0.2  # seconds until the next try when the system had no descriptor
BUSY = web.AppKey("busy", set)  # connections with a request that may be answered under way


class Doors:
    """Takes connections for `server` off a listening socket, one in a turn of the loop."""

    def __init__(self, sock: socket.socket, server: web.Server, busy: set[Handler]) -> None:
        self._loop = asyncio.get_running_loop()
        self._sock = sock
        self._server = server
        self._busy = busy
        self._tasks: set[asyncio.Task[None]] = set()
        self._later: asyncio.TimerHandle | None = None
        self._open()

    def _open(self) -> None:
        self._loop.add_reader(self._sock, self._take)

    def leave(self) -> None:
        """Takes nobody any more."""
        self._loop.remove_reader(self._sock)
        if self._later is not None:
            self._later.cancel()
        self._sock.close()

    def close(self) -> None:
        if self._sock.fileno() >= 0:
            self.leave()
        for task in self._tasks:
            task.cancel()

    def _take(self) -> None:
        try:
            sock, _ = self._sock.accept()
        except (BlockingIOError, InterruptedError, ConnectionError):
            return
        except OSError:
            self._loop.remove_reader(self._sock)
            self._later = self._loop.call_later(PAUSE, self._open)
            return
        sock.setblocking(False)
        self._make_room()
        task = self._loop.create_task(self._serve(sock))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _make_room(self) -> None:
        """Ends the oldest connection on which nothing is under way, when there are as many as there may be."""
        live = [one for one in self._server.connections if one.transport is not None and not one.transport.is_closing()]
        idle = next((one for one in live if one not in self._busy), None)
        if len(live) + len(self._tasks) >= MOST and idle is not None and idle.transport is not None:
            idle.transport.abort()

    async def _serve(self, sock: socket.socket) -> None:
        try:
            await self._loop.connect_accepted_socket(self._server, sock)
        except (OSError, asyncio.CancelledError):
            sock.close()
