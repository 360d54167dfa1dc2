"""A transaction of `memory://`, made ready for one route: the way of every limited call, so each line of it has been
weighed. It finds its tables once and makes no object for what a call pays.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from gateway.state import bucket
from gateway.state.bucket import FULL
from gateway.state.store import Capped, Denied, Keys, Metered, Tokens

if TYPE_CHECKING:
    from gateway.call import Call, Lease
    from gateway.state.memory import MemoryStore
    from gateway.state.table import Table


class Meter:
    """One rate limit made ready: its table, and what the call that is being taken in is about to pay."""

    __slots__ = ("after", "interval", "key", "limit", "payer", "rate", "room", "table", "until")

    def __init__(self, rate: Metered, table: Table) -> None:
        self.limit = rate.limit
        self.payer = rate.payer
        self.rate = rate.rate
        self.interval, self.room = rate.rate.interval, rate.rate.room
        self.table = table
        self.until = table.until
        self.key: str | None = None
        self.after = FULL


class Prepared:
    """What a route demands. No object is made for what a call pays, and no arithmetic is done twice: every short
    request goes through here."""

    __slots__ = ("_caps", "_meters", "_store")

    def __init__(self, store: MemoryStore, meters: Sequence[Meter], caps: Sequence[Capped]) -> None:
        self._store = store
        self._meters = tuple(meters)
        self._caps = tuple(caps)

    def take(self, call: Call, now: float, yields: Call | None = None) -> Denied | None:
        """Looks at everything before anything is written: a call that is refused has cost nobody anything."""
        keys: Keys = ()
        for meter in self._meters:
            key = meter.key = meter.payer(call)
            keys += (key,)
            if key is not None:
                full_at = meter.until.get(key, FULL)
                if full_at <= now:  # bucket.take, without the call
                    meter.after = now + meter.interval
                elif full_at - now <= meter.room:
                    meter.after = full_at + meter.interval
                else:
                    return _lacks(meter, key, full_at, now)
        if self._caps:
            lent = self._lease(call, now, yields)
            if isinstance(lent, Denied):
                return lent
            call.leases = lent
        for meter in self._meters:
            key = meter.key
            if key in meter.until:
                meter.until[key] = meter.after  # who is in the table has a key
            elif key is not None:
                meter.table.add(key, meter.after, now, self._store.max_keys)
        call.charges += keys
        call.charged = True
        return None

    def _lease(self, call: Call, now: float, yields: Call | None) -> tuple[Lease, ...] | Denied:
        who = call.poller
        places = [cap.place(key, who) for cap in self._caps if (key := cap.payer(call)) is not None]
        return self._store.lacking(places, now, yields) or self._store.lend(places, call)

    def levels(self, keys: Keys, now: float, since: float) -> tuple[int, ...]:
        numbers: tuple[int, ...] = ()
        at = 0
        for meter in self._meters:
            numbers += bucket.told(meter.until.get(keys[at], FULL), meter.rate, now)  # type: ignore[arg-type]
            at += 1  # noqa: SIM113  # enumerate and zip cost as much as a lookup
        return numbers


def _lacks(meter: Meter, key: str, full_at: float, now: float) -> Denied:
    full_at = meter.until[key] = bucket.bound(full_at, meter.rate, now)
    return Denied(Tokens(meter.limit, key, meter.rate), bucket.wait(full_at, meter.rate, now))
