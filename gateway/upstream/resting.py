"""The connections to an endpoint that rest between two calls. The one that rested last is used first, the one that has
rested longest is given up first, and one that the other side has ended is gone at once, however many there are.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gateway.upstream.http1 import UpstreamConnection


class Resting:
    __slots__ = ("_all",)

    def __init__(self) -> None:
        self._all: OrderedDict[UpstreamConnection, None] = OrderedDict()

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

    def pop(self) -> UpstreamConnection:
        """The one that began to rest last. Raises KeyError where there is none."""
        return self._all.popitem()[0]

    def popleft(self) -> UpstreamConnection:
        """The one that has rested longest. Raises KeyError where there is none."""
        return self._all.popitem(last=False)[0]

    def discard(self, connection: UpstreamConnection) -> None:
        self._all.pop(connection, None)

    def clear(self) -> None:
        self._all.clear()
