"""The figures: every level of an axis stands at once, and they are asked in turn, in slices so short that what else the
machine does meets all alike. A level is compared with the first of the same round.
"""

from __future__ import annotations

import asyncio
import statistics
from collections.abc import Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field

from tests.bench.process import MeasureError

from .axes import Axis, Grown
from .steady import Steady

FLAT = 0.10  # a level costs as much as the first, give or take
SLICE = 0.1  # seconds
WARM = 0.05  # seconds before each slice: the caches are full of what the one before it needed


@dataclass
class Curve:
    """Microseconds of CPU that something took: by level, those of each round."""

    what: str
    levels: tuple[int, ...]
    rounds: dict[int, list[float]] = field(default_factory=dict)

    def join(self, sitting: Curve) -> None:
        """What was measured in one more sitting."""
        for level in self.levels:
            self.rounds.setdefault(level, []).extend(sitting.rounds[level])

    def middle(self, level: int) -> float:
        return statistics.median(self.rounds[level])

    def ratio(self, level: int) -> float:
        """To the first level: the median of the ratios of each round."""
        first = self.rounds[self.levels[0]]
        return statistics.median(here / there for here, there in zip(self.rounds[level], first, strict=True))

    def flat(self) -> bool:
        return all(abs(self.ratio(level) - 1) <= FLAT for level in self.levels)


@dataclass
class Turn:
    """One level, asked one thing: what that has cost so far in this round."""

    grown: Grown
    load: Steady
    cpu: float = 0.0
    answered: int = 0

    async def take(self) -> None:
        await self.load.go(WARM)
        before = self.grown.on.proxy.cpu()
        self.answered += await self.load.go(SLICE)
        await asyncio.sleep(0.003)  # what the last of them left to be done
        self.cpu += self.grown.on.proxy.cpu() - before

    def over(self) -> float:
        """Microseconds each; the next round begins."""
        figure = self.cpu / self.answered * 1e6
        self.cpu, self.answered = 0.0, 0
        return figure


async def curves(
    axis: Axis, levels: tuple[int, ...], sittings: int, rounds: int, seconds: float, say: Callable[[str], None]
) -> list[Curve]:
    """Each level in a gateway of its own, in each sitting in a new one: one process is up to a tenth quicker than
    another that does the same, for as long as it lives. `seconds` of each figure in each round. Raises MeasureError
    when a sitting failed twice."""
    found: dict[str, Curve] = {}
    for sitting in range(sittings):
        say(f"{axis.title}: sitting {sitting + 1} of {sittings}")
        try:
            sat = await _sitting(axis, levels, rounds, seconds, say)
        except MeasureError as error:  # a machine that stood still for a minute costs one sitting, not all before it
            say(f"this sitting failed, it is repeated once: {error}")
            sat = await _sitting(axis, levels, rounds, seconds, say)
        for curve in sat:
            found.setdefault(curve.what, Curve(curve.what, levels)).join(curve)
    return list(found.values())


async def _sitting(
    axis: Axis, levels: tuple[int, ...], rounds: int, seconds: float, say: Callable[[str], None]
) -> list[Curve]:
    async with AsyncExitStack() as stack:
        grown: list[Grown] = []
        for level in levels:
            say(f"{axis.title}: {level:,} ..")
            grown.append(await stack.enter_async_context(asynccontextmanager(axis.make)(level)))
        return [await _measure(what, grown, rounds, seconds, say) for what in grown[0].asked]


async def _measure(what: str, grown: list[Grown], rounds: int, seconds: float, say: Callable[[str], None]) -> Curve:
    curve = Curve(what, tuple(each.level for each in grown))
    turns = [Turn(each, await Steady.begin(each.on, each.asked[what])) for each in grown]
    for turn in turns:
        await turn.load.go(seconds)  # what is done for the first time is in no figure
    for number in range(rounds):
        say(f"{what}: round {number + 1} of {rounds}")
        for _ in range(max(round(seconds / SLICE), 1)):
            for turn in turns:
                await turn.take()
        for turn in turns:
            curve.rounds.setdefault(turn.grown.level, []).append(turn.over())
    for turn in turns:
        turn.load.leave()
    return curve
