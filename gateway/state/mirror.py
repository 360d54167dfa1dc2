"""What this process knows of a store that others share: which of its calls hold which places, and what meters were
when it last heard of them. Where the store cannot be asked it decides alone, within its share of each limit, and what
it lent meanwhile is made known when the store is back.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import count
from typing import TYPE_CHECKING, Any

from gateway.call import NO_LEASES, Lease
from gateway.demands import release
from gateway.state.bucket import Rate
from gateway.state.memory import MemoryStore
from gateway.state.store import Capped, Denied, Metered, Place

if TYPE_CHECKING:
    from gateway.call import Call
    from gateway.state.prepared import Prepared

Key = tuple[str, str]  # a limit, and who is counted under it


class Lent(Lease):
    """All places of one call, under one number, which no other call of this process has had. `known`: the store was
    told of it; `marks` are its own words for them."""

    __slots__ = ("_local", "_mirror", "call", "keys", "known", "marks", "number")

    def __init__(self, mirror: Mirror, call: Call, number: int, keys: tuple[Key, ...], local: tuple[Lease, ...],
                 known: bool, marks: Sequence[Any]) -> None:  # fmt: skip
        self.call = call
        self.number = number
        self.keys = keys
        self.known = known
        self.marks = marks
        self._local = local
        self._mirror = mirror

    def release(self) -> None:
        if self._mirror.lent.pop(self.number, None) is None:
            return
        self.forget()
        self._mirror.back(self)

    def forget(self) -> None:
        """This process does not count them any more."""
        for lease in self._local:
            lease.release()


class Mirror:
    """`back` is told of every lease that is given back. `memory` has the meters and this process's own holders."""

    __slots__ = ("_numbers", "back", "lent", "memory")

    def __init__(self, back: Callable[[Lent], None]) -> None:
        self.memory = MemoryStore()
        self.lent: dict[int, Lent] = {}
        self.back = back
        self._numbers = count(1)

    def number(self) -> int:
        """For the next call that asks."""
        return next(self._numbers)

    def lend(
        self, call: Call, number: int, places: Sequence[Place], known: bool = True, marks: Sequence[Any] = ()
    ) -> None:
        """The call has these places: it holds them by one lease."""
        keys = tuple([(place.limit, place.key) for place in places])
        lent = self.lent[number] = Lent(self, call, number, keys, self.memory.lend(places, call), known, marks)
        call.leases += (lent,)

    def of(self, call: Call) -> Lent | None:
        """What that call holds."""
        return next((lease for lease in call.leases if isinstance(lease, Lent)), None)

    def lose(self, number: int) -> Lent | None:
        """Whose places these were, which the store has lent to another: there is nothing to give back any more."""
        lent = self.lent.pop(number, None)
        if lent is not None:
            lent.forget()
        return lent


@dataclass(frozen=True, slots=True)
class _Portion:
    """One of `parts` equal shares of a rate: tokens come so much slower, and fewer fit in; never none."""

    limit: str
    rate: Rate
    payer: Callable[[Call], str | None]


@dataclass(frozen=True, slots=True)
class _Corner:
    """One of `parts` equal shares of a cap, and never none. Nobody waits, and nobody is ended, on half a view."""

    cap: Capped
    parts: int

    @property
    def limit(self) -> str:
        return self.cap.limit

    @property
    def payer(self) -> Callable[[Call], str | None]:
        return self.cap.payer

    def place(self, key: str, who: str) -> Place:
        place = self.cap.place(key, who)
        return replace(place, max=max(place.max // self.parts, 1), evict=False, line=0)


class Alone:
    """What a route demands of its calls while nobody else can be asked. `parts` says how many share each limit."""

    __slots__ = ("_asked", "_caps", "_marks", "_mirror", "_parts", "_rates", "_split")

    def __init__(self, mirror: Mirror, rates: Sequence[Metered], caps: Sequence[Capped], parts: Callable[[], int],
                 marks: Callable[[Sequence[Place], Call], Sequence[Any]] = lambda *_: ()) -> None:  # fmt: skip
        self._mirror = mirror
        self._rates = rates
        self._caps = caps
        self._parts = parts
        self._marks = marks
        self._split = 0
        self._asked: Prepared | None = None

    def take(self, call: Call, now: float, yields: Call | None = None) -> Denied | None:
        parts = max(self._parts(), 1)
        if self._asked is None or parts != self._split:
            self._split = parts
            rates = [_Portion(rate.limit, _split(rate.rate, parts), rate.payer) for rate in self._rates]
            self._asked = self._mirror.memory.prepare(rates, [_Corner(cap, parts) for cap in self._caps])
        before, call.leases = call.leases, NO_LEASES
        denied = self._asked.take(call, now, yields)
        if denied is not None and denied.victim is not None:  # then that is `yields`: nobody else is ended here
            release(denied.victim)
            denied = self._asked.take(call, now)
        own = call.leases
        call.leases = before
        if own:
            who = call.poller
            places = [cap.place(key, who) for cap in self._caps if (key := cap.payer(call)) is not None]
            for lease in own:
                lease.release()  # the same places, under one lease that can be made known
            self._mirror.lend(call, self._mirror.number(), places, False, self._marks(places, call))
        return denied


def _split(rate: Rate, parts: int) -> Rate:
    return Rate(rate.interval * parts, max(rate.burst // parts, 1))
