"""Ways to spread calls that look at the endpoints alone: who carries least for its share, whose turn it is, the better
of two drawn by lot. What they cost does not grow with what is held, and hardly with the number of endpoints.
"""

from __future__ import annotations

import random
from bisect import bisect
from collections.abc import Collection
from heapq import heapify, heappop, heappush, heapreplace
from itertools import accumulate
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gateway.call import Call
    from gateway.upstream.endpoint import Endpoint

Entry = tuple[float, int, "Endpoint"]


def load(endpoint: Endpoint) -> float:
    """What it carries for its share."""
    return endpoint.lease.held / endpoint.share


class LeastHeld:
    """The endpoint that carries least for its share; equals take turns.

    Endpoints stand in levels: those that carry equally much, in the order in which they take their turns. A call that
    is taken is seen when its endpoint is looked at next, for one that stands too low only comes up too early; one that
    is given back is noted in `eased`, for one that stands too high would be hidden. Nothing is compared but the levels,
    of which there are few: a heap of all endpoints cost 5,000 instructions a call, a tenth of a short one.
    """

    __slots__ = ("_at", "_choice", "_levels", "_lows", "eased")

    def __init__(self) -> None:
        self.eased: set[Endpoint] = set()
        self._choice: tuple[Endpoint, ...] = ()
        self._at: dict[Endpoint, float] = {}  # the level of each that counts
        self._levels: dict[float, dict[Endpoint, None]] = {}
        self._lows: list[float] = []  # heap of those, and of some that nobody stands in any more

    def renew(self, choice: tuple[Endpoint, ...]) -> None:
        """Whose turn it was it still is; who joins comes last among equals."""
        before = [each for low in sorted(self._levels) for each in self._levels[low]]
        wanted = set(choice)
        self.eased.clear()  # all are looked at now, and nothing is kept of those that left
        self._choice, self._at, self._levels, self._lows = choice, {}, {}, []
        for endpoint in (*before, *choice):
            if endpoint in wanted and endpoint not in self._at:
                self._enter(endpoint, load(endpoint))

    def pick(self, call: Call | None, tried: Collection[Endpoint], now: float) -> Endpoint | None:
        if tried:
            left = [each for each in self._choice if each not in tried]
            return min(left, key=lambda each: (load(each), random.random()), default=None)
        if self.eased:
            self._rise()
        while self._lows:
            low = self._lows[0]
            level = self._levels.get(low)
            if level is None:
                heappop(self._lows)
                continue
            endpoint = next(iter(level))
            carries = load(endpoint)
            self._leave(endpoint, low)
            self._enter(endpoint, carries)  # behind its equals
            if carries <= low:
                return endpoint
        return None

    def _rise(self) -> None:
        """Those that gave calls back since the last time come up."""
        for endpoint in self.eased:
            at = self._at.get(endpoint)
            if at is not None and (carries := load(endpoint)) < at:
                self._leave(endpoint, at)
                self._enter(endpoint, carries)
        self.eased.clear()
        if len(self._lows) > 2 * len(self._at) + 16:  # levels that were left stand in it until they are the lowest
            self._lows = sorted(self._levels)

    def _leave(self, endpoint: Endpoint, at: float) -> None:
        level = self._levels[at]
        del level[endpoint]
        if not level:
            del self._levels[at]

    def _enter(self, endpoint: Endpoint, carries: float) -> None:
        self._at[endpoint] = carries
        level = self._levels.get(carries)
        if level is None:
            level = self._levels[carries] = {}
            heappush(self._lows, carries)
        level[endpoint] = None


class RoundRobin:
    """Each endpoint in turn, as often as its share says, and evenly spread: next is whose next turn is due first."""

    __slots__ = ("_due", "eased")

    def __init__(self) -> None:
        self.eased: set[Endpoint] | None = None  # nobody needs to know
        self._due: list[Entry] = []

    def renew(self, choice: tuple[Endpoint, ...]) -> None:
        """Whose turn it was it still is; the first turns of those that join are spread over a round."""
        now, known = self._due[0][0] if self._due else 0.0, {each: due for due, _, each in self._due}
        first = ((now + (place + 1) / len(choice) / each.share, place, each) for place, each in enumerate(choice))
        self._due = [(min(known.get(each, due), now + 1 / each.share), place, each) for due, place, each in first]
        heapify(self._due)

    def pick(self, call: Call | None, tried: Collection[Endpoint], now: float) -> Endpoint | None:
        if tried:  # in the place of one that failed: nobody's turn is used up by that
            left = [entry[2] for entry in self._due if entry[2] not in tried]
            return random.choices(left, [each.share for each in left])[0] if left else None
        if not self._due:
            return None
        due, place, endpoint = self._due[0]
        heapreplace(self._due, (due + 1 / endpoint.share, place, endpoint))
        return endpoint


class RandomTwo:
    """Of two endpoints drawn by their shares the one that carries less. Many gateways that know nothing of each other
    do not all run to the same one so."""

    __slots__ = ("_choice", "_sums", "eased")

    def __init__(self) -> None:
        self.eased: set[Endpoint] | None = None
        self._choice: tuple[Endpoint, ...] = ()
        self._sums: list[float] = []

    def renew(self, choice: tuple[Endpoint, ...]) -> None:
        self._choice = choice
        self._sums = list(accumulate(each.share for each in choice))

    def pick(self, call: Call | None, tried: Collection[Endpoint], now: float) -> Endpoint | None:
        choice, sums = self._choice, self._sums
        if tried:
            choice = tuple(each for each in choice if each not in tried)
            sums = list(accumulate(each.share for each in choice))
        if len(choice) < 2:
            return choice[0] if choice else None
        first, second = _draw(sums), _draw(sums)
        if first == second:
            second = (first + 1) % len(choice)
        one, other = choice[first], choice[second]
        return one if one.lease.held * other.share <= other.lease.held * one.share else other


def _draw(sums: list[float]) -> int:
    """A place, as likely as its part of the whole."""
    return min(bisect(sums, random.random() * sums[-1]), len(sums) - 1)
