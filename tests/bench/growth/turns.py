"""The figures: every level of an axis stands at once, and they are asked in turn, so that what else the machine does
meets all alike. A level is compared with the first of the same round.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field

from tests.bench.measure import CONNECTIONS, settle, short_requests

from .axes import Axis, Grown

FLAT = 0.10  # a level costs as much as the first, give or take


@dataclass
class Curve:
    """Microseconds of CPU that something took: by level, those of each round."""

    what: str
    levels: tuple[int, ...]
    rounds: dict[int, list[float]] = field(default_factory=dict)

    def middle(self, level: int) -> float:
        return statistics.median(self.rounds[level])

    def ratio(self, level: int) -> float:
        """To the first level: the median of the ratios of each round."""
        first = self.rounds[self.levels[0]]
        return statistics.median(here / there for here, there in zip(self.rounds[level], first, strict=True))

    def flat(self) -> bool:
        return all(abs(self.ratio(level) - 1) <= FLAT for level in self.levels)


async def curves(
    axis: Axis, levels: tuple[int, ...], rounds: int, seconds: float, say: Callable[[str], None]
) -> list[Curve]:
    """Each level in a gateway of its own."""
    async with AsyncExitStack() as stack:
        grown: list[Grown] = []
        for level in levels:
            say(f"{axis.title}: {level:,} ..")
            grown.append(await stack.enter_async_context(asynccontextmanager(axis.make)(level)))
        found = {what: Curve(what, levels, {level: [] for level in levels}) for what in grown[0].wires}
        for each in grown:  # what is done for the first time is in no figure
            for what in found:
                await _asked(each, what, seconds / 2)
        for turn in range(rounds):
            say(f"{axis.title}: round {turn + 1} of {rounds}")
            for what, curve in found.items():
                for each in grown if turn % 2 == 0 else grown[::-1]:
                    curve.rounds[each.level].append(await _asked(each, what, seconds))
    return list(found.values())


async def _asked(grown: Grown, what: str, seconds: float) -> float:
    """Those who repeat themselves do so for that time, and once at least; what is drawn is asked once."""
    wire, on = grown.wires[what](), grown.on
    repeats = len(wire) == CONNECTIONS
    cpu = on.proxy.cpu()
    answered = len((await short_requests(on, wire, seconds)).latencies) if repeats else 0
    if not answered:
        answered = len((await short_requests(on, wire, 0)).latencies)
    await settle()
    return (on.proxy.cpu() - cpu) / answered * 1e6
