"""The connections to an endpoint that rest between two calls. The one that rested last is used first, the one that has
rested longest is given up first, and one that the other side has ended is gone at once, however many there are.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from gateway.clock import NEVER, Timers

if TYPE_CHECKING:
    from gateway.upstream.http1 import UpstreamConnection


class Resting:
    """One clock for all of them, that of who has rested longest: a connection that rests costs no place in `Timers`.
    What rests behind one that may rest longer is closed with it at the latest, and never used beyond its own time."""

    __slots__ = ("_all", "_timers", "due", "filed")

    def __init__(self) -> None:
        self._all: dict[UpstreamConnection, None] = {}  # in the order in which they began to rest
        self._timers: Timers | None = None
        self.due = NEVER
        self.filed = NEVER

    def __len__(self) -> int:
        return len(self._all)

    def __iter__(self) -> Iterator[UpstreamConnection]:
        """From who has rested longest."""
        return iter(self._all)

    def __contains__(self, connection: UpstreamConnection) -> bool:
        return connection in self._all

    def append(self, connection: UpstreamConnection) -> None:
        self._all[connection] = None

    def extend(self, connections: Iterable[UpstreamConnection]) -> None:
        for connection in connections:
            self.append(connection)

    def until(self, end: float, timers: Timers) -> None:
        """The one that was appended last may rest until then (loop seconds)."""
        if end < self.due:
            self._timers = timers
            timers.arm(self, end)

    def on_due(self, now: float) -> None:
        """Closes who has rested for long enough."""
        over: list[UpstreamConnection] = []
        for connection in self._all:
            end = connection.idle_since + connection.keepalive
            if end > now:
                if self._timers is not None:
                    self._timers.arm(self, end)
                break
            over.append(connection)
        for connection in over:
            self.discard(connection)
            connection.close()

    def pop(self) -> UpstreamConnection:
        """The one that began to rest last. Raises KeyError where there is none."""
        return self._all.popitem()[0]

    def popleft(self) -> UpstreamConnection:
        """The one that has rested longest. Raises KeyError where there is none."""
        for first in self._all:
            del self._all[first]
            return first
        raise KeyError("nobody rests")

    def discard(self, connection: UpstreamConnection) -> None:
        self._all.pop(connection, None)

    def clear(self) -> None:
        self._all.clear()
