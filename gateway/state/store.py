"""What a call asks of the store, and the protocol every store speaks. What a route demands of its calls is made ready
once; then all of it is taken in one transaction, all or nothing. Policies see this file and never a store.
"""

from __future__ import annotations

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
    last `grace` seconds.
    """

    limit: str
    key: str
    max: int
    who: str = ""
    evict: bool = False
    grace: float = 0.0


Demand: TypeAlias = Tokens | Place


Keys: TypeAlias = tuple[str | None, ...]  # who paid, for each rate limit in its order


class Denied(NamedTuple):
    """Nothing was taken. `demand` is the first that failed, `retry_after` is in seconds. With a `victim` nothing but
    its place is wanting: end it and ask again."""

    demand: Demand
    retry_after: float
    victim: Call | None = None


class Asked(Protocol):
    """What a route demands of each of its calls, made ready."""

    def take(self, call: Call, now: float, yields: Call | None = None) -> Denied | None:
        """All of it, or nothing. Writes `charges` and `leases` of the call: what it paid and has borrowed is its own
        from here on, and settle gives back what is due. A place that only `yields` takes up has that for a victim."""

    def levels(self, keys: Keys, now: float) -> tuple[int, ...]:
        """What those who paid have left, flat, as clients are told: tokens and seconds (rounded up) under the first
        rate limit, then under the next. Nobody's may be missing."""


class Store(Protocol):
    """Where meters and leases live. `now` is loop seconds."""

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

    def watch(self, freed: Callable[[str, str], None]) -> None:
        """From now on `freed(limit, key)` is called whenever a place or a token was given back."""
