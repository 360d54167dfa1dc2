"""What a call asks of the store, and the protocol every store speaks. What a route demands of its calls is made ready
once; then all of it is taken in one transaction, all or nothing. Policies see this file and never a store, be
it in this process, in the memory of the machine or in a server elsewhere.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Protocol, TypeAlias

from gateway.state.bucket import Level, Rate

if TYPE_CHECKING:
    from gateway.call import Call


class Metered(Protocol):
    """A rate limit, as far as a store reads it: who pays for a call (None: it is not meant for it), and what."""

    @property
    def limit(self) -> str: ...

    @property
    def rate(self) -> Rate: ...

    @property
    def payer(self) -> Callable[[Call], str | None]: ...


class Capped(Protocol):
    """A cap, as far as a store reads it."""

    @property
    def limit(self) -> str: ...

    @property
    def payer(self) -> Callable[[Call], str | None]: ...

    def place(self, key: str, who: str) -> Place: ...


@dataclass(slots=True)
class Tokens:
    """A demand for one token of somebody's bucket. `limit` names the rule, `key` who is counted under it."""

    limit: str
    key: str
    rate: Rate


@dataclass(slots=True)
class Place:
    """A demand for a lease: one of `max` places under `limit` and `key`.

    With `evict` the oldest holder may be ended to make room, unless this poller (`who`) was itself ended so within the
    last `grace` seconds. `line` calls may wait for one, of all processes together.
    """

    limit: str
    key: str
    max: int
    who: str = ""
    evict: bool = False
    grace: float = 0.0
    line: int = 0


Demand: TypeAlias = Tokens | Place


Keys: TypeAlias = tuple[str | None, ...]  # who paid, for each rate limit in its order


class Denied(NamedTuple):
    """Nothing was taken. `demand` is the first that failed, `retry_after` is in seconds. With a `victim` nothing but
    its place is wanting: end it and ask again. `failed`: nobody was asked, for the store cannot be."""

    demand: Demand
    retry_after: float
    victim: Call | None = None
    queued: bool = False  # it stands in the line that the store keeps
    failed: bool = False


Taken: TypeAlias = "Denied | None"


class Asked(Protocol):
    """What a route demands of each of its calls, made ready."""

    def take(self, call: Call, now: float, yields: Call | None = None) -> Taken | asyncio.Future[Taken]:
        """All of it, or nothing. Writes `charges` and `leases` of the call: what it paid and has borrowed is its own
        from here on, and settle gives back what is due. A place that only `yields` takes up has that for a victim.

        A store that has to ask elsewhere returns a Future, which ends within a bounded time, and never in an error. It
        is not cancelled: a call that is over by then has borrowed all the same, and who asked gives it back. Such a
        store makes room itself: it has no victims, but ends them by what it was given in `watch`.
        """

    def levels(self, keys: Keys, now: float, since: float) -> tuple[int, ...]:
        """What those who paid have left, flat, as clients are told: tokens and seconds (rounded up) under the first
        rate limit, then under the next. Nobody's may be missing. They paid after `since`, a call's start: where that is
        a moment ago, a store that others use too may tell what it knew when they did."""


class Store(Protocol):
    """Where meters and leases live. `now` is loop seconds."""

    @property
    def orders(self) -> bool:
        """Whether it keeps the lines for places, for it lends them to other processes too: whoever was denied a place
        that has a line stands in it until it takes the place, or `leaves`. A call stands in one line at most: who is
        put in another has left the first. Those of one process are told that they stand in line in the order in which
        they do."""

    def leaves(self, call: Call) -> None:
        """The call waits for nothing any more. Told of calls that did not wait, too."""

    def prepare(self, rates: Sequence[Metered], caps: Sequence[Capped]) -> Asked:
        """Makes ready what is then taken in one transaction for each call."""

    def give_back(self, demand: Tokens, now: float) -> None:
        """A refund of one token."""

    def level(self, demand: Tokens, now: float) -> Level: ...

    def evicted(self, demand: Place, who: str, now: float) -> None:
        """Notes that the poller `who` lost its place, so that it does not take it back in the same way at once."""

    def held(self, limit: str, key: str) -> int:
        """Leases under a cap."""

    def holds(self, demand: Place, call: Call) -> bool:
        """Whether one of those leases is that call's."""

    def retain(self, limits: Collection[str]) -> None:
        """Forgets what was counted under limits that are no more; what is lent stays counted until it is back."""

    def keys(self, limit: str) -> int:
        """Keys that are remembered under a limit."""

    def newest(self, limit: str, most: int) -> Sequence[str]:
        """Some of those keys: the last that came, at most so many."""

    def watch(self, freed: Callable[[str, str], None], ends: Callable[[Call, str], None]) -> None:
        """From now on `freed(limit, key)` is called whenever a place or a token was given back, or it is the turn of
        the first call here that waits for one; and `ends(call, by)` when a call has lost its place to another, `by`.

        A store that keeps the lines tells the process of whoever is first in one as soon as there is a place for him:
        when one is given back, when he becomes first while another place is free, and when the store comes back.
        """
