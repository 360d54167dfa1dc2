"""What the dashboard shows of a machine: gathered in every worker, and added up."""

from __future__ import annotations

import time

from gateway.admin import overview, plots
from gateway.admin.census import Json
from gateway.admin.edges import Edge, nearest
from gateway.machine.admin import plotted
from gateway.machine.admin.asking import Asking, Missing, named
from gateway.machine.admin.counted import one_each
from gateway.machine.admin.ledger import Ledger
from gateway.machine.admin.states import States
from gateway.machine.admin.whole import NOTHING, after, remains, whole


class Whole:
    """An `admin.view.View`."""

    def __init__(self, asking: Asking, states: States) -> None:
        self._asking = asking
        self._states = states
        self._gathered: Ledger[Json] = Ledger(remains, after)
        self._plotted: Ledger[Json] = Ledger(plotted.remains, plotted.after)

    def start(self) -> None:
        """Workers keep what there is to remember."""

    def stop(self) -> None:
        """As above."""

    async def overview(self) -> Json:
        missing = await self._gather("/inner/overview", self._gathered)
        found = whole([NOTHING, *self._gathered.parts(self._states.alive())])
        seen = self._states.seen(missing)
        endpoints = [each for each in found["endpoints"] if not each.get("gone")]
        own = {"now": round(time.time(), 3), "ready": seen.ready, "detail": seen.detail, "endpoints": endpoints}
        return {**overview.shaped({**found, **own}), "workers": seen.workers, **named(missing)}

    async def plots(self) -> Json:
        await self._gather("/inner/plots", self._plotted)
        return plots.shaped(plotted.whole([plotted.NOTHING, *self._plotted.parts(self._states.alive())]))

    async def edges(self) -> list[Json]:
        asked = await self._asking.all("/inner/edges")
        found = one_each([Edge(*row) for told in asked.told for row in told.json["edges"]])
        return [edge._asdict() for edge in nearest(found)]

    async def _gather(self, page: str, ledger: Ledger[Json]) -> list[Missing]:
        """Asks all workers for their part, and remembers it."""
        asked = await self._asking.all(page)
        self._states.note(asked.missing)
        for told in asked.told:
            part = told.json
            state = part.pop("state")
            self._states.tell(told.number, state)
            ledger.tell(told.number, state["who"], state["pid"], part)
        return asked.missing
