"""What all client connections of the process share: the parsers, the clocks, the limits, and how much room there is."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from gateway.edge.room import Room, Shed
from gateway.telemetry.record import shown_peer

if TYPE_CHECKING:
    from gateway.clock import Timers
    from gateway.edge.http1 import Downstream
    from gateway.parse import Parsers
    from gateway.poller import Poller
    from gateway.serve import Serve
    from gateway.shapes import EdgeLimits


class Edge:
    """One in a process; each connection has it."""

    __slots__ = ("_say", "connections", "half_close", "limits", "parsers", "poller", "room", "serve", "timers", "wall")

    def __init__(
        self, serve: Serve, parsers: Parsers, timers: Timers, limits: EdgeLimits, half_close: str, room: Room,
        say: Callable[[Shed], None] = lambda shed: None, wall: Callable[[], float] = time.time,
        poller: Poller | None = None,
    ) -> None:  # fmt: skip
        self.serve = serve
        self.wall = wall  # Unix seconds
        self.parsers = parsers
        self.timers = timers
        self.limits = limits
        self.half_close = half_close
        self.room = room
        self.poller = poller  # of plain connections; None: they are the loop's
        self.connections: set[Downstream] = set()
        self._say = say

    def turned_away(self, shed: Shed, peer: str = "", why: str = "") -> None:
        """Counts somebody who is not let in, and tells the operator, as much of an address as the log may have."""
        self.room.shed[shed] += 1
        if peer or why:
            shown = shown_peer(peer, self.serve.snapshot.log_peer) or "an address that is not shown"
            self.room.last[shed] = f"{shown if peer else 'a unix socket'}{': ' if why else ''}{why}"
        self._say(shed)

    def sheds_hold(self) -> bool:
        """Whether a new poll is turned away because there is hardly room left."""
        if not self.room.tight:
            return False
        self.turned_away(Shed.HOLD)
        return True

    def report(self, error: Exception) -> None:
        """Tells the operator about a bug, as the loop tells about every other."""
        asyncio.get_running_loop().call_exception_handler({"message": "a call failed", "exception": error})
