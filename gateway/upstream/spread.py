"""Ways to spread calls that look at the endpoints alone: who carries least for its share, whose turn it is, the better
of two drawn by lot. What they cost does not grow with what is held, and hardly with the number of endpoints.
"""

from __future__ import annotations

import random
from bisect import bisect
from collections.abc import Collection
from heapq import heapify, heapreplace
from itertools import accumulate
from typing import TYPE_CHECKING, final

if TYPE_CHECKING:
    from gateway.call import Call
    from gateway.upstream.endpoint import Endpoint


def load(endpoint: Endpoint) -> float:
    """What it carries for its share."""
    return endpoint.lease.held / endpoint.share


@final
class Seat:
    """Where an endpoint stands in the heap, and by what. Tuples in a heap of `heapq` compare by objects, which took 1.5
    us of CPU a call with 200 endpoints; compiled, two of these compare as two C doubles."""

    __slots__ = ("at", "carries", "endpoint", "turn")

    def __init__(self, endpoint: Endpoint, turn: int) -> None:
        self.endpoint = endpoint
        self.turn = turn  # no two have the same, and equals go by it
        self.carries = load(endpoint)  # when it was looked at last
        self.at = 0

    def before(self, other: Seat) -> bool:
        return self.carries < other.carries or (self.carries == other.carries and self.turn < other.turn)


class LeastHeld:
    """The endpoint that carries least for its share; equals take turns.

    A heap of all that count. A call that is taken is seen when its endpoint is looked at next, for a seat too low only
    comes up too early; one that is given back is noted in `eased`, for a seat too high would hide its endpoint.
    """

    __slots__ = ("_choice", "_heap", "_seats", "_turn", "eased")

    def __init__(self) -> None:
        self.eased: set[Endpoint] = set()
        self._choice: tuple[Endpoint, ...] = ()
        self._heap: list[Seat] = []
        self._seats: dict[Endpoint, Seat] = {}
        self._turn = 0

    def renew(self, choice: tuple[Endpoint, ...]) -> None:
        """Whose turn it was it still is; who joins comes last among equals."""
        known, self._choice, self._seats = self._seats, choice, {}
        self.eased.clear()  # all are looked at now, and nothing is kept of those that left
        for endpoint in choice:
            self._seats[endpoint] = Seat(endpoint, known[endpoint].turn if endpoint in known else self._next_turn())
        self._heap = sorted(self._seats.values(), key=lambda seat: (seat.carries, seat.turn))
        for at, seat in enumerate(self._heap):
            seat.at = at

    def pick(self, call: Call | None, tried: Collection[Endpoint], now: float) -> Endpoint | None:
        if tried:
            left = [each for each in self._choice if each not in tried]
            return min(left, key=lambda each: (load(each), random.random()), default=None)
        if self.eased:
            self._ease()
        heap = self._heap
        while heap:
            seat = heap[0]
            known = seat.carries
            seat.carries = load(seat.endpoint)
            seat.turn = self._next_turn()
            self._sink(seat)
            if seat.carries <= known:
                return seat.endpoint
        return None

    def _ease(self) -> None:
        """Those that gave calls back since the last time come up."""
        for endpoint in self.eased:
            seat = self._seats.get(endpoint)
            if seat is not None and load(endpoint) < seat.carries:
                seat.carries = load(endpoint)
                seat.turn = self._next_turn()
                self._rise(seat)
        self.eased.clear()

    def _next_turn(self) -> int:
        self._turn += 1
        return self._turn

    def _sink(self, seat: Seat) -> None:
        heap, at = self._heap, seat.at
        end = len(heap)
        while (child := 2 * at + 1) < end:
            least = heap[child]
            if child + 1 < end and heap[child + 1].before(least):
                child += 1
                least = heap[child]
            if seat.before(least):
                break
            heap[at] = least
            least.at = at
            at = child
        heap[at] = seat
        seat.at = at

    def _rise(self, seat: Seat) -> None:
        heap, at = self._heap, seat.at
        while at > 0 and seat.before(above := heap[(at - 1) // 2]):
            heap[at] = above
            above.at = at
            at = (at - 1) // 2
        heap[at] = seat
        seat.at = at


class RoundRobin:
    """Each endpoint in turn, as often as its share says, and evenly spread: next is whose next turn is due first."""

    __slots__ = ("_due", "eased")

    def __init__(self) -> None:
        self.eased: set[Endpoint] | None = None  # nobody needs to know
        self._due: list[tuple[float, int, Endpoint]] = []

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
