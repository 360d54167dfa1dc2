"""What the dashboard shows of a gateway: of this process, read from its own objects. With several workers their
supervisor has such a view of all of them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from gateway.admin import overview, plots
from gateway.admin.census import Json, Sources, gather
from gateway.admin.edges import Edge, edges
from gateway.admin.edges import gather as fullest
from gateway.admin.history import History


class View(Protocol):
    """`start()` and `stop()` go with the listener."""

    def start(self) -> None: ...

    def stop(self) -> None: ...

    async def overview(self) -> Json:
        """All but what is looked for less often."""

    async def plots(self) -> Json:
        """The question that is to be drawn."""

    async def edges(self) -> list[Json]:
        """The limits that are nearly used up."""


class Own:
    """Of one process. What it is made of is asked for by who adds it to that of others."""

    def __init__(self, sources: Callable[[], Sources]) -> None:
        self._sources = sources
        self._history = History(lambda: sources().tallies)
        self.start = self._history.start
        self.stop = self._history.stop

    async def overview(self) -> Json:
        return overview.shaped(await self.gathered())

    async def gathered(self) -> Json:
        seen = self._sources()
        return await gather(seen, self._history.rates(seen.now()))

    async def plots(self) -> Json:
        return plots.shaped(await self.plotted())

    async def plotted(self) -> Json:
        return await plots.gather(self._history, self._sources().tallies)

    async def edges(self) -> list[Json]:
        return [edge._asdict() for edge in await edges(self._sources())]

    async def edging(self) -> list[Edge]:
        return await fullest(self._sources())
