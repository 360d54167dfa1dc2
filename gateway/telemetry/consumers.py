"""Who calls most, in bounded space however many consumers there are: the heavy ones stay, the rest make room for who
comes next (space saving, done in batches so that no call ever pays for a search).
"""

from __future__ import annotations

from heapq import nlargest
from itertools import islice
from typing import Final

MOST: Final = 1000  # consumers that outlive a clearing
# Times as many are counted before one: clearing after twice as many cost each newcomer half as much again.
BETWEEN: Final = 4


class Consumers(dict[str, list[float]]):
    """Name -> [calls, seconds held]: what was counted since the consumer was taken in, so never too much."""

    __slots__ = ("_floor", "_given", "_most")

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._floor = 0.0  # calls of the busiest that ever had to go: who comes next may have made as many before
        self._given: dict[str, float] = {}  # who was taken in with how much of that

    def count(self, consumer: str, held: float) -> None:
        entry = self.get(consumer)
        if entry is None:
            entry = self._enter(consumer)
        entry[0] += 1
        entry[1] += held

    def busiest(self, most: int) -> list[tuple[str, list[float]]]:
        """Those with the most calls, the busiest first."""
        return nlargest(most, self.items(), key=lambda each: each[1][0])

    def _enter(self, consumer: str) -> list[float]:
        if len(self) >= BETWEEN * self._most:
            self._clear()
        if self._floor:
            self._given[consumer] = self._floor
        entry = self[consumer] = [0, 0.0]
        return entry

    def _clear(self) -> None:
        """Without what is given to newcomers, nobody who began late could ever pass those who began early."""
        weights = {name: entry[0] + self._given.get(name, 0.0) for name, entry in self.items()}
        going = len(weights) - self._most
        bound = sorted(weights.values())[going - 1]
        gone = [name for name, weight in weights.items() if weight < bound]
        equals = (name for name, weight in weights.items() if weight == bound)
        gone += islice(equals, going - len(gone))  # the oldest of them
        for name in gone:
            del self[name]
            self._given.pop(name, None)
        self._floor = max(self._floor, bound)
