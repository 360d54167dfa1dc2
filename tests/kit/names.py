"""Names that are where a test says, and upstreams at addresses of their own under one port. On Linux every 127.x.y.z is
this machine.
"""

from __future__ import annotations

import asyncio
import socket
import threading
from collections import Counter
from typing import Self

from tests.kit.upstreams import HoldingUpstream, ScriptedUpstream


class Script:
    """A resolver by script, called in threads. `at` says where names are; one that is not there does not exist. While
    `stalled` has a name its look-ups hang until `go()`."""

    def __init__(self, **at: list[str]) -> None:
        self.at = {host.replace("_", "."): found for host, found in at.items()}
        self.asked: Counter[str] = Counter()
        self.now: Counter[str] = Counter()  # look-ups under way
        self.most: Counter[str] = Counter()  # of them at once
        self.stalled: set[str] = set()
        self._going = threading.Event()
        self._counting = threading.Lock()

    def __call__(self, host: str) -> list[str]:
        with self._counting:
            self.asked[host] += 1
            self.now[host] += 1
            self.most[host] = max(self.most[host], self.now[host])
        if host in self.stalled:
            self._going.wait()
        with self._counting:
            self.now[host] -= 1
        if host not in self.at:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return list(self.at[host])

    def go(self) -> None:
        self.stalled.clear()
        self._going.set()


class At:
    """An upstream at an address and a port, for the classes of `upstreams`; port 0 takes a free one."""

    def __init__(self, address: str, port: int = 0) -> None:
        super().__init__()
        self.address = address
        self.port = port

    async def __aenter__(self) -> Self:
        serve = self._serve  # type: ignore[attr-defined]
        self.server = await asyncio.start_server(serve, self.address, self.port, backlog=2048)
        self.port = self.server.sockets[0].getsockname()[1]
        return self


class HoldingAt(At, HoldingUpstream):
    """Holds every request."""


class AnsweringAt(At, ScriptedUpstream):
    """Answers every request."""
