"""When a store elsewhere is asked, and when it is not: an answer that is overdue opens the circuit, and a probe that is
answered in time closes it. Pure: `now` is handed in.
"""

from __future__ import annotations

from enum import Enum


class Circuit(Enum):
    CLOSED = "closed"  # every decision is asked for
    OPEN = "open"  # none is, for a rest
    HALF_OPEN = "half-open"  # none is, but one probe is out


class Breaker:
    """`rest` seconds pass before it is tried whether the store answers again."""

    __slots__ = ("_rest", "_until", "circuit")

    def __init__(self, rest: float) -> None:
        self.circuit = Circuit.OPEN  # it has yet to be heard
        self._rest = rest
        self._until = float("-inf")

    @property
    def closed(self) -> bool:
        return self.circuit is Circuit.CLOSED

    def failed(self, now: float) -> bool:
        """An answer is overdue, or an error, or will never come. Whether that opened the circuit."""
        was, self.circuit = self.circuit, Circuit.OPEN
        self._until = now + self._rest
        return was is Circuit.CLOSED

    def tries(self, now: float) -> bool:
        """Whether it is time for a probe; then it is out."""
        if self.circuit is not Circuit.OPEN or now < self._until:
            return False
        self.circuit = Circuit.HALF_OPEN
        return True

    def answered(self) -> bool:
        """A probe was answered in time. Whether that closed the circuit: not where something else failed meanwhile."""
        if self.circuit is not Circuit.HALF_OPEN:
            return False
        self.circuit = Circuit.CLOSED
        return True
