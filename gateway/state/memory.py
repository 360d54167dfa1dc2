"""`memory://`: the state of one process. Bounded by time (a bucket that is full again, or a cap that nobody holds, is
nothing) and by number: a million made-up keys push each other out, not the process over.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Sequence
from itertools import chain, islice
from typing import TYPE_CHECKING, Final

from gateway.call import Lease
from gateway.state import bucket
from gateway.state.bucket import FULL, Level
from gateway.state.holders import Freed, Holders, PlaceLease
from gateway.state.prepared import Meter, Prepared
from gateway.state.store import Capped, Denied, Metered, Place, Tokens
from gateway.state.table import Table

if TYPE_CHECKING:
    from gateway.call import Call

MAX_KEYS: Final = 200_000  # a limit; beyond it the oldest go, which errs on the caller's side. About 45 MB

Ends = Callable[["Call", str], None]


class MemoryStore:
    """Not for several processes: their limits would add up."""

    __slots__ = ("_evicted", "_freed", "_holders", "_meters", "max_keys")

    orders = False  # the only process there is keeps them itself

    def __init__(self, max_keys: int = MAX_KEYS) -> None:
        self.max_keys = max_keys
        self._meters: defaultdict[str, Table] = defaultdict(Table)  # by limit
        self._holders: dict[str, Holders] = {}  # by limit
        self._evicted = Table()  # limit, key and poller -> until when it may evict nobody
        self._freed: Freed | None = None

    def prepare(self, rates: Sequence[Metered], caps: Sequence[Capped]) -> Prepared:
        return Prepared(self, [Meter(rate, self._meters[rate.limit]) for rate in rates], caps)

    def meters(self, limit: str) -> Table:
        return self._meters[limit]

    def holders(self, limit: str) -> Holders:
        table = self._holders.get(limit)
        if table is None:
            table = self._holders[limit] = Holders(limit, self._freed)
        return table

    def _full_at(self, demand: Tokens) -> float:
        meters = self._meters.get(demand.limit)
        return meters.until.get(demand.key, FULL) if meters is not None else FULL

    def _no_place(self, demand: Place, holders: Collection[Call], now: float) -> Denied:
        if not demand.evict:
            return Denied(demand, 1.0)
        barred = self._evicted.until.get(_poller(demand, demand.who), FULL)
        if now < barred:
            return Denied(demand, max(barred - now, 1.0))
        return Denied(demand, 1.0, next((holder for holder in holders if holder.evictable), None))

    def lend(self, places: Sequence[Place], holder: Call) -> tuple[Lease, ...]:
        leases = tuple([PlaceLease(self.holders(place.limit), place.key, holder) for place in places])
        for lease in leases:
            lease.take()
        return leases

    def lacking(self, places: Sequence[Place], now: float, yields: Call | None = None) -> Denied | None:
        """Nobody is ended for a call that something else refuses. `yields` gives its places to that call anyway."""
        crowded: Denied | None = None
        for place in places:
            holders = self.holders(place.limit).of(place.key)
            if len(holders) >= place.max:
                denied = Denied(place, 1.0, yields) if yields in holders else self._no_place(place, holders, now)
                if denied.victim is None:
                    return denied
                crowded = crowded or denied
        return crowded

    def give_back(self, demand: Tokens, now: float) -> None:
        full_at = self._full_at(demand)
        if full_at > now:
            self._meters[demand.limit].until[demand.key] = bucket.give_back(full_at, demand.rate, now)
            if self._freed is not None:
                self._freed(demand.limit, demand.key)

    def level(self, demand: Tokens, now: float) -> Level:
        return bucket.level(bucket.bound(self._full_at(demand), demand.rate, now), demand.rate, now)

    def evicted(self, demand: Place, who: str, now: float) -> None:
        poller = _poller(demand, who)
        if poller in self._evicted.until:
            self._evicted.until[poller] = now + demand.grace
        else:
            self._evicted.add(poller, now + demand.grace, now, self.max_keys)

    def held(self, limit: str, key: str) -> int:
        return self.holders(limit).count(key)

    def holds(self, demand: Place, call: Call) -> bool:
        return call in self.holders(demand.limit).of(demand.key)

    def learn(self, limit: str, key: str, full_at: float, now: float) -> None:
        """What a bucket is by the word of who knows better."""
        meters = self._meters[limit]
        if key in meters.until:
            meters.until[key] = full_at
        elif full_at > now:
            meters.add(key, full_at, now, self.max_keys)

    def sweep(self, then: float, most: int) -> None:
        """Forgets buckets that were full again at that instant, and looks at no more than `most` of them."""
        for table in (self._evicted, *self._meters.values()):
            most -= table.sweep(then, most)
            if most <= 0:
                break

    def retain(self, limits: Collection[str]) -> None:
        for gone in self._meters.keys() - set(limits):
            del self._meters[gone]
        for gone in self._holders.keys() - set(limits):
            if not len(self._holders[gone]):
                del self._holders[gone]

    def keys(self, limit: str) -> int:
        holders = self._holders.get(limit)
        return len(self._meters.get(limit, ())) + (len(holders) if holders is not None else 0)

    def newest(self, limit: str, most: int) -> Sequence[str]:
        meters, holders = self._meters.get(limit), self._holders.get(limit)
        tables = (holders.by_key if holders is not None else {}, meters.until if meters is not None else {})
        known = chain.from_iterable(reversed(each) for each in tables)
        return list(islice(known, most))

    def leaves(self, call: Call) -> None:
        """Nobody waits here."""

    def watch(self, freed: Freed, ends: Ends | None = None) -> None:
        self._freed = freed
        for table in self._holders.values():
            table.freed = freed

    @property
    def size(self) -> int:
        """Keys that are remembered."""
        tables = (self._evicted, *self._meters.values())
        return sum(map(len, tables)) + sum(map(len, self._holders.values()))


def _poller(demand: Place, who: str) -> str:
    return f"{demand.limit}\0{demand.key}\0{who}"
