"""A distribution as a plain array of counts: a call pays for two additions, and for a bisection where its value lies in
another bucket than the one before it: those of a crowd lie in the same, and get there together. Belongs here: the
array, the bounds the metrics use, and what a reader asks of them (docs/metrics.md).
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable
from math import inf
from typing import NamedTuple

# Seconds, each the inclusive upper end of its bucket; one more bucket takes what is above the last.
REQUEST = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)  # of OpenTelemetry for HTTP
HOLD = (0.1, 0.5, 1.0, 2.5, 5.0, 10.0, 15.0, 20.0, 25.0, 30.0, 45.0, 60.0, 90.0, 120.0, 180.0, 300.0)
NEWS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)


class Exemplar(NamedTuple):
    """A value whose trace was kept."""

    trace: str  # 32 hexadecimal digits
    span: str  # 16
    value: float
    wall: float  # Unix seconds


class Histogram:
    """`exemplars` has the last value of a bucket whose
    trace was kept."""

    __slots__ = ("_above", "_at", "_buckets", "_run", "_upto", "bounds", "exemplars", "sum")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self._buckets = [0] * (len(bounds) + 1)
        self._at = self._run = 0  # so many since the last value in another bucket than that one
        self.sum = 0.0
        self.exemplars: dict[int, Exemplar] | None = None
        self._turn_to(0.0)

    @property
    def buckets(self) -> list[int]:
        """`buckets[i]` counts values up to `bounds[i]`, not cumulatively."""
        self._buckets[self._at] += self._run
        self._run = 0
        return self._buckets

    @buckets.setter
    def buckets(self, counts: list[int]) -> None:
        self._buckets, self._run = counts, 0

    @property
    def count(self) -> int:
        return sum(self.buckets)

    def record(self, value: float) -> None:
        if not self._above < value <= self._upto:
            self._turn_to(value)
        self._run += 1
        self.sum += value

    def _turn_to(self, value: float) -> None:
        """Finds the bucket of a value."""
        self._buckets[self._at] += self._run
        self._run = 0
        at = self._at = bisect_left(self.bounds, value)
        self._above = self.bounds[at - 1] if at else -inf
        self._upto = self.bounds[at] if at < len(self.bounds) else inf

    def mark(self, value: float, trace: str, span: str, wall: float) -> None:
        """Remembers the trace of a value that was recorded."""
        if self.exemplars is None:
            self.exemplars = {}
        self.exemplars[bisect_left(self.bounds, value)] = Exemplar(trace, span, value, wall)

    def copy(self) -> Histogram:
        """The numbers of now: what is written out later must not change on the way."""
        other = Histogram(self.bounds)
        other.buckets, other.sum = self.buckets[:], self.sum
        other.exemplars = dict(self.exemplars) if self.exemplars is not None else None
        return other

    def quantile(self, share: float) -> float | None:
        """The value below which that share lies, as exactly as the buckets say (as PromQL's `histogram_quantile`
        does); None without any."""
        total = self.count
        rank, seen, low = share * total, 0, 0.0
        for count, high in zip(self.buckets, self.bounds, strict=False):
            if count and seen + count >= rank:
                return low + (high - low) * max(rank - seen, 0.0) / count
            seen, low = seen + count, high
        return self.bounds[-1] if total else None


def merged(bounds: tuple[float, ...], parts: Iterable[Histogram]) -> Histogram:
    """Several with the same bounds as one."""
    whole = Histogram(bounds)
    for part in parts:
        whole.buckets = [a + b for a, b in zip(whole.buckets, part.buckets, strict=True)]
        whole.sum += part.sum
        for place, found in (part.exemplars or {}).items():
            known = whole.exemplars = whole.exemplars if whole.exemplars is not None else {}
            if place not in known or known[place].wall <= found.wall:
                known[place] = found
    return whole
