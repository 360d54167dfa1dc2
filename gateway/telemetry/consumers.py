"""Who calls most, in bounded space however many consumers there are: the heavy ones stay, the rest make room for who
comes next (space saving, done in batches so that no call ever pays for a search).
"""

from __future__ import annotations

from heapq import nlargest
from typing import Final

MOST: Final = 1000  # consumers that outlive a clearing
# Times as many are counted before one: clearing after twice as many cost each newcomer half as much again.
BETWEEN: Final = 4


class Counted:
    """What was counted since the consumer was taken in, so never too much. `given`: as many calls it may have made
    before that."""

    __slots__ = ("calls", "given", "held")

    def __init__(self, given: int) -> None:
        self.calls = 0
        self.held = 0.0  # seconds
        self.given = given


class Consumers:
    """Those that are counted, by name, the oldest first."""

    __slots__ = ("_all", "_floor", "_most")

    def __init__(self, most: int = MOST) -> None:
        self._all: dict[str, Counted] = {}
        self._most = most
        self._floor = 0  # calls of the busiest that ever had to go: who comes next may have made as many before

    def __len__(self) -> int:
        return len(self._all)

    def count(self, consumer: str, held: float) -> None:
        counted = self._all.get(consumer)
        if counted is None:
            if len(self._all) >= BETWEEN * self._most:
                self._clear()
            counted = self._all[consumer] = Counted(self._floor)
        counted.calls += 1
        counted.held += held

    def busiest(self, most: int) -> list[tuple[str, Counted]]:
        """Those with the most calls, the busiest first."""
        return nlargest(most, self._all.items(), key=lambda each: each[1].calls)

    def of(self, consumer: str) -> Counted | None:
        """What is known of one."""
        return self._all.get(consumer)

    def _clear(self) -> None:
        """Without what is given to newcomers, nobody who began late could ever pass those who began early. Who stays is
        put into a new dictionary, which costs less than to take all others out of the old one."""
        found = self._all
        bound = sorted([each.calls + each.given for each in found.values()])[len(found) - self._most - 1]
        kept = {name: each for name, each in found.items() if each.calls + each.given > bound}
        equals = [name for name, each in found.items() if each.calls + each.given == bound]
        for name in equals[len(equals) - (self._most - len(kept)) :]:  # the oldest of them go
            kept[name] = found[name]
        self._all = kept
        self._floor = max(self._floor, bound)
