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

    A heap with one entry an endpoint that counts. A call that is taken is seen when its endpoint is looked at next, for
    an entry too low only comes up too early; one that is given back is noted in `eased`, for an entry too high would
    hide its endpoint.
    """

    __slots__ = ("_choice", "_counts", "_heap", "_turn", "eased")

    def __init__(self) -> None:
        self.eased: set[Endpoint] = set()
        self._choice: tuple[Endpoint, ...] = ()
        self._heap: list[Entry] = []
        self._counts: dict[Endpoint, Entry] = {}
        self._turn = 0

    def renew(self, choice: tuple[Endpoint, ...]) -> None:
        """Whose turn it was it still is; who joins comes last among equals."""
        known, self._choice, self._counts = self._counts, choice, {}
        self.eased.clear()  # all are looked at now, and nothing is kept of those that left
        for endpoint in choice:
            self._enter(endpoint, known[endpoint][1] if endpoint in known else None)
        self._rebuild()

    def pick(self, call: Call | None, tried: Collection[Endpoint], now: float) -> Endpoint | None:
        if tried:
            left = [each for each in self._choice if each not in tried]
            return min(left, key=lambda each: (load(each), random.random()), default=None)
        if self.eased:
            self._rise()
        heap, counts = self._heap, self._counts
        while heap:
            entry = heap[0]
            known, turn, endpoint = entry
            if counts[endpoint][1] != turn:  # compiled, a tuple is not one and the same object
                heappop(heap)
                continue
            self._turn += 1
            carries = endpoint.lease.held / endpoint.share
            counts[endpoint] = entry = (carries, self._turn, endpoint)
            heapreplace(heap, entry)
            if carries <= known:
                return endpoint
        return None

    def _rise(self) -> None:
        """Those that gave calls back since the last time come up."""
        counts = self._counts
        for endpoint in self.eased:
            entry = counts.get(endpoint)
            if entry is not None and load(endpoint) < entry[0]:
                heappush(self._heap, self._enter(endpoint))
        self.eased.clear()
        if len(self._heap) > 4 * len(counts) + 16:
            self._rebuild()

    def _enter(self, endpoint: Endpoint, turn: int | None = None) -> Entry:
        """No two have the same turn, so endpoints themselves are never compared."""
        self._turn += turn is None
        entry = self._counts[endpoint] = (load(endpoint), self._turn if turn is None else turn, endpoint)
        return entry

    def _rebuild(self) -> None:
        self._heap = list(self._counts.values())
        heapify(self._heap)


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
