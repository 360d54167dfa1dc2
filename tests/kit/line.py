"""One call on connections of the real kind to an endpoint, on a clock moved by hand: only transports are stand-ins."""

from __future__ import annotations

import asyncio
from typing import Any, cast

from gateway.parse import Parsers
from gateway.upstream.http1 import UpstreamConnection

from .serving import Scene
from .wires import Wire


class Line:
    """A scene whose endpoint has connections of the real kind."""

    def __init__(self, kind: str = "ordinary", **changes: Any) -> None:
        self.scene = Scene(kind, idle=0, **changes)
        self.wires: list[Wire] = []

    def connect(self) -> UpstreamConnection:
        """What a dial does when it has connected: its task is over."""
        self.scene.loop.tasks.clear()
        loop = cast(asyncio.AbstractEventLoop, self.scene.loop)
        made = UpstreamConnection(self.endpoint, Parsers(loop), self.scene.timers)
        self.wires.append(Wire())
        made.connection_made(cast(asyncio.Transport, self.wires[-1]))
        return made

    @property
    def endpoint(self) -> Any:
        return self.scene.upstream.endpoints[0]

    def call(self) -> UpstreamConnection:
        """One call on a connection of its own, until its answer is asked for."""
        self.scene.open()
        made = self.connect()
        self.scene.serve._forwarder._connected(cast(Any, self.scene.call.up), made)
        return made

    def rest(self, *fields: str) -> UpstreamConnection:
        """A connection on which a call was answered."""
        made = self.call()
        head = "\r\n".join(["HTTP/1.1 200 OK", *fields, "Content-Length: 2", "", "ok"])
        made.data_received(head.encode())
        assert self.scene.call.outcome is not None
        return made

    def idle_at(self, seconds: float, *, fresh: bool = False) -> bool:
        """Whether a call that comes that much later gets the resting connection."""
        self.scene.loop.advance(seconds)
        return self.endpoint.take_idle(self.scene.timers.now(), fresh) is not None
