"""The last ten minutes of endings, and what happened in the last seconds: samples of the tallies, a few numbers every
few seconds. Bounded, of this process only; the call log has the rest.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, NamedTuple

from gateway.outcome import ENDINGS, Outcome

if TYPE_CHECKING:
    from gateway.telemetry.tallies import Tallies

EVERY = 5.0  # seconds between two samples
KEPT = 120  # samples: ten minutes
RECENT = 3  # samples of every route: rates are of the last 10 to 15 s

O = Outcome  # noqa: E741
_EARLY = (O.CLIENT_GONE, O.CLIENT_TIMEOUT, O.EVICTED, O.SUPERSEDED, O.DRAINED, O.EXPIRED, O.REVOKED)
_ANSWERED = (O.ANSWERED, O.STREAMED, O.TUNNELLED, O.PREFLIGHT)
# What endings have in common for who looks at all of them, in the order of colours.
GROUPS = ("news", "no news", "failed", "answered", "ended early", "refused")


def group(outcome: Outcome) -> str:
    """Which of GROUPS an ending belongs to."""
    if outcome is O.NEWS:
        return "news"
    if outcome in (O.EMPTY, O.BLANK):
        return "no news"
    if outcome in _ANSWERED:
        return "answered"
    if outcome in _EARLY:
        return "ended early"
    return "failed" if ENDINGS[outcome].share == "error" else "refused"


_GROUP = {outcome: GROUPS.index(group(outcome)) for outcome in Outcome}

Counts = Mapping[tuple[str, Outcome, bool], int]  # by route, outcome, and whether they were polls


class Sample(NamedTuple):
    at: float  # loop seconds
    counts: Counts


class Point(NamedTuple):
    """One look: what there was in all since the start, by group."""

    at: float
    totals: tuple[int, ...]


class Rate(NamedTuple):
    route: str
    outcome: Outcome
    poll: bool
    per_second: float


class History:
    """Begins with `start()`, samples itself, ends with `stop()`."""

    def __init__(self, tallies: Callable[[], Tallies]) -> None:
        self._tallies = tallies
        self._samples: deque[Sample] = deque(maxlen=RECENT)
        self._points: deque[Point] = deque(maxlen=KEPT + 1)
        self._handle: asyncio.TimerHandle | None = None

    def start(self) -> None:
        loop = asyncio.get_running_loop()
        self.sample(loop.time())
        self._handle = loop.call_later(EVERY, self.start)

    def stop(self) -> None:
        if self._handle is not None:
            self._handle.cancel()

    def sample(self, now: float) -> None:
        counts = count(self._tallies())
        self._samples.append(Sample(now, counts))
        self._points.append(Point(now, totals(counts)))

    def rates(self, now: float) -> list[Rate]:
        """Endings a second, of the last seconds; those that did not happen are left out."""
        before = self._samples[0] if self._samples else Sample(now, {})
        seconds = max(now - before.at, 1.0)
        counts = count(self._tallies())
        found = [(key, number - before.counts.get(key, 0)) for key, number in counts.items()]
        return [Rate(*key, round(more / seconds, 3)) for key, more in found if more > 0]

    def series(self) -> list[tuple[str, list[float | None]]]:
        """Endings a second by group, for KEPT steps up to now; None before the process began."""
        pairs = list(zip(self._points, list(self._points)[1:], strict=False))
        empty: list[float | None] = [None] * (KEPT - len(pairs))
        return [(name, [*empty, *[_rate(a, b, n) for a, b in pairs]]) for n, name in enumerate(GROUPS)]


def _rate(before: Point, after: Point, place: int) -> float:
    """A route that a reload took away may be forgotten, and what it had with it."""
    return max(after.totals[place] - before.totals[place], 0) / max(after.at - before.at, 0.001)


def count(tallies: Tallies) -> Counts:
    """What the tallies have of each route."""
    return {
        (name, outcome, poll): number
        for name, route in tallies.routes.items()
        for poll, outcomes in ((True, route.outcomes), (False, route.calls))
        for outcome, number in outcomes.items()
    }


def totals(counts: Counts) -> tuple[int, ...]:
    found = [0] * len(GROUPS)
    for (_, outcome, _), number in counts.items():
        found[_GROUP[outcome]] += number
    return tuple(found)
