"""How much of what failed may be sent again: never more than a share of an upstream's calls, so that an outage is not
doubled by those who want to hide it. Arithmetic only; whoever sends again asks here first.
"""

from __future__ import annotations

from math import exp
from typing import Final

WINDOW: Final = 10.0  # seconds over which calls and what was sent again are compared: they fade, nothing is cut off
FLOOR: Final = 10.0  # may be sent again within a window however few calls there are


class Budget:
    """`taken` and `denied` count for ever. Calls are counted elsewhere, by a plain integer: how many there were is read
    only when something failed, and taken to have come evenly since it was last read."""

    __slots__ = ("_counted", "_recent", "_spent", "at", "denied", "taken")

    def __init__(self) -> None:
        self.taken = 0
        self.denied = 0
        self.at: float | None = None  # when it last looked
        self._counted = 0  # calls it has looked at
        self._recent = 0.0  # calls of the window
        self._spent = 0.0  # and what was sent again in it

    def begin(self, now: float) -> None:
        """Calls begin to come."""
        if self.at is None:
            self.at = now

    def take(self, share: float, calls: int, held: int, now: float) -> bool:
        """Whether one more may be sent again. `calls` have been begun so far, `held` are under way: a poll that is
        held counts for as long as it is."""
        self._fade(calls, now)
        most = share * max(self._recent, held) + (FLOOR if share else 0.0)
        if self._spent + 1.0 > most:
            self.denied += 1
            return False
        self._spent += 1.0
        self.taken += 1
        return True

    def _fade(self, calls: int, now: float) -> None:
        age = now - self.at if self.at is not None else 0.0
        kept = exp(-age / WINDOW)
        evenly = WINDOW * (1.0 - kept) / age if age > 0 else 1.0
        fresh = calls - self._counted if self.at is not None else 0
        self._recent = self._recent * kept + fresh * evenly
        self._spent *= kept
        self._counted, self.at = calls, now
