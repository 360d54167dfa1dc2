"""`memory://`: the state of one process. Bounded by time (a bucket that is full again, or a cap that nobody holds, is
nothing) and by number: a million made-up keys push each other out, not the process over.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING

from gateway.call import Lease
from gateway.state import bucket
from gateway.state.bucket import FULL, Level
from gateway.state.store import Demand, Denied, Place, Taken, Tokens

if TYPE_CHECKING:
    from gateway.call import Call

MAX_KEYS = 200_000  # a limit; beyond it the oldest go, which errs on the caller's side. About 25 MB
NOTHING = Taken(())
SWEEP = 2  # old keys looked at for each new one: more than come, so that a table shrinks by itself

Meters = OrderedDict[str, float]  # key -> instant at which its bucket is full; oldest first
Crowd = OrderedDict["Call", None]  # oldest first, and the oldest is found at once however many left before
Freed = Callable[[str, str], None]


class Holders(dict[str, "Call | Crowd"]):
    """Under one limit: key -> who holds a place. Most have one: that one needs no table."""

    __slots__ = ("freed", "limit")

    def __init__(self, limit: str, freed: Freed | None) -> None:
        super().__init__()
        self.limit = limit
        self.freed = freed


class MemoryStore:
    """Not for several processes: their limits would add up."""

    __slots__ = ("_evicted", "_freed", "_holders", "_max_keys", "_meters")

    def __init__(self, max_keys: int = MAX_KEYS) -> None:
        self._max_keys = max_keys
        self._meters: dict[str, Meters] = {}  # by limit
        self._holders: dict[str, Holders] = {}  # by limit
        self._evicted: Meters = OrderedDict()  # limit, key and poller -> until when it may evict nobody
        self._freed: Freed | None = None

    def take(self, demands: Sequence[Demand], holder: Call, now: float) -> Taken | Denied:
        """Looks at every demand before anything is written: a call that is refused has cost nobody anything, and
        nobody is ended for a call that something else refuses."""
        crowded: Denied | None = None
        charges: list[tuple[Meters, str, float]] = []
        places: list[Place] = []
        for demand in demands:
            if isinstance(demand, Tokens):
                meters = self._meters.get(demand.limit)
                if meters is None:
                    meters = self._meters[demand.limit] = OrderedDict()
                full_at = meters.get(demand.key, FULL)
                after = bucket.take(full_at, demand.rate, now)
                if after is None:
                    full_at = meters[demand.key] = bucket.bound(full_at, demand.rate, now)
                    return Denied(demand, bucket.wait(full_at, demand.rate, now))
                charges.append((meters, demand.key, after))
            else:
                holders = _each(self._of(demand.limit).get(demand.key))
                if len(holders) >= demand.max:
                    denied = self._no_place(demand, holders, now)
                    if denied.victim is None:
                        return denied
                    crowded = crowded or denied
                places.append(demand)
        if crowded is not None:
            return crowded
        for meters, key, after in charges:
            if key not in meters:
                _sweep(meters, now, self._max_keys)
            meters[key] = after
        return Taken(tuple([self._lend(place, holder) for place in places])) if places else NOTHING

    def _of(self, limit: str) -> Holders:
        table = self._holders.get(limit)
        if table is None:
            table = self._holders[limit] = Holders(limit, self._freed)
        return table

    def _full_at(self, demand: Tokens) -> float:
        meters = self._meters.get(demand.limit)
        return meters.get(demand.key, FULL) if meters is not None else FULL

    def _no_place(self, demand: Place, holders: Collection[Call], now: float) -> Denied:
        if not demand.evict:
            return Denied(demand, 1.0)
        barred = self._evicted.get(_poller(demand, demand.who), FULL)
        if now < barred:
            return Denied(demand, max(barred - now, 1.0))
        return Denied(demand, 1.0, next((holder for holder in holders if holder.evictable), None))

    def _lend(self, demand: Place, holder: Call) -> Lease:
        table = self._of(demand.limit)
        others = table.get(demand.key)
        if others is None:
            table[demand.key] = holder
        elif isinstance(others, OrderedDict):
            others[holder] = None
        else:
            table[demand.key] = OrderedDict(((others, None), (holder, None)))
        return PlaceLease(table, demand.key, holder)

    def give_back(self, demand: Tokens, now: float) -> None:
        full_at = self._full_at(demand)
        if full_at > now:
            self._meters[demand.limit][demand.key] = bucket.give_back(full_at, demand.rate, now)
            if self._freed is not None:
                self._freed(demand.limit, demand.key)

    def level(self, demand: Tokens, now: float) -> Level:
        return bucket.level(bucket.bound(self._full_at(demand), demand.rate, now), demand.rate, now)

    def evicted(self, demand: Place, who: str, now: float) -> None:
        _sweep(self._evicted, now, self._max_keys)
        self._evicted[_poller(demand, who)] = now + demand.grace

    def held(self, limit: str, key: str) -> int:
        return len(_each(self._of(limit).get(key)))

    def retain(self, limits: Collection[str]) -> None:
        for gone in self._meters.keys() - set(limits):
            del self._meters[gone]
        for gone in self._holders.keys() - set(limits):
            if not self._holders[gone]:
                del self._holders[gone]

    def keys(self, limit: str) -> int:
        return len(self._meters.get(limit, ())) + len(self._holders.get(limit, ()))

    def watch(self, freed: Freed) -> None:
        self._freed = freed
        for table in self._holders.values():
            table.freed = freed

    @property
    def size(self) -> int:
        """Keys that are remembered."""
        tables: list[int] = [len(table) for table in self._meters.values()]
        return sum(tables) + sum(len(table) for table in self._holders.values()) + len(self._evicted)


def _poller(demand: Place, who: str) -> str:
    return f"{demand.limit}\0{demand.key}\0{who}"


def _each(holders: Call | Crowd | None) -> Collection[Call]:
    if holders is None:
        return ()
    return holders if isinstance(holders, OrderedDict) else (holders,)


def _sweep(table: Meters, now: float, most: int) -> None:
    """Drops what is over from the old end; what is still in use there goes to the back."""
    for _ in range(min(SWEEP, len(table))):
        key, until = table.popitem(last=False)
        if until > now and len(table) < most - 1:  # room for the one that comes
            table[key] = until


class PlaceLease(Lease):
    """A place under a cap. A method and three references, no closure: a parked poll pays for every byte."""

    __slots__ = ("_holder", "_key", "_table")

    def __init__(self, table: Holders, key: str, holder: Call) -> None:
        self._table = table
        self._key = key
        self._holder = holder

    def release(self) -> None:
        table, key = self._table, self._key
        holders = table.get(key)
        if isinstance(holders, OrderedDict):
            holders.pop(self._holder, None)
        if not holders or holders is self._holder:
            table.pop(key, None)
        if table.freed is not None:
            table.freed(table.limit, key)
