"""The measure of the admin pages: what it takes to look through everything that is held, and for how long an ordinary
call beside it has to wait.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Iterator

from .load import ClosedLoop, Control, Crowd
from .measure import Figures, Scale, park, settle, warm
from .process import MeasureError
from .proxies import Stage, wires
from .wire import status

HELD = "/api/held?limit=1000&"
SORTS = ("sort=-since", "sort=ends_in", "sort=consumer", "sort=path", "q=user-7")
TURNS = 5  # of each page


async def pages(stage: Stage, scale: Scale) -> list[Figures]:
    """Pages of a thousand rows of everything that is held, and `/metrics`: milliseconds for the slowest kind, and the
    longest that a short request beside it took. Both are medians over the turns: what others do here is not in them."""
    crowd = Crowd()
    await crowd.dial(stage.port, scale.listed)
    await warm(stage)
    await park(stage, crowd, wires("/poll", scale.listed, stage.tokens))
    await settle(1.0)
    beside = Beside(stage)
    admin = await Control.connect(stage.admin)
    beside.begin()
    found = {page: [await _once(admin, page, beside) for _ in range(TURNS)] for page in _pages()}
    await beside.end()
    crowd.leave()
    middle = {
        page: [statistics.median(each) * 1e3 for each in zip(*times, strict=True)] for page, times in found.items()
    }
    metrics = middle.pop("/metrics")
    took, waited = (max(each) for each in zip(*middle.values(), strict=True))
    return [{"page_ms": took, "page_stall": waited, "metrics_ms": metrics[0], "metrics_stall": metrics[1]}]


def _pages() -> list[str]:
    return [*(HELD + sort for sort in SORTS), "/metrics"]


async def _once(admin: Control, page: str, beside: Beside) -> tuple[float, float]:
    """Seconds for the page, and the longest of a short request meanwhile."""
    before, began = beside.count, time.perf_counter()
    answer = await admin.ask(f"GET {page}")
    took = time.perf_counter() - began
    if status(answer) != 200:
        raise MeasureError(f"{page} was answered with {answer[:300]!r}")
    await settle(0.05)
    return took, beside.longest(before)


class Beside:
    """One short request after the other, until it is told to end."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._wire = wires("/now", 1, stage.tokens)[0]
        self._over = False
        self._loop = ClosedLoop(self._wires(), float("inf"))

    def begin(self) -> None:
        self._running = asyncio.ensure_future(self._loop.run(self._stage.port, 1))

    async def end(self) -> None:
        self._over = True
        await self._running
        if self._loop.bad is not None:
            raise MeasureError(f"a short request was answered with {self._loop.bad[:300]!r}")

    @property
    def count(self) -> int:
        return len(self._loop.latencies)

    def longest(self, since: int) -> float:
        return max(self._loop.latencies[since:], default=0.0)

    def _wires(self) -> Iterator[bytes]:
        while not self._over:
            yield self._wire
