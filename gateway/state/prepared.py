"""A transaction of `memory://`, made ready for one route: the way of every limited call, so each line of it has been
weighed. It finds its tables once and makes no object for what a call pays.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil
from typing import TYPE_CHECKING

from gateway.state import bucket
from gateway.state.bucket import FULL, SLACK
from gateway.state.store import Capped, Denied, Keys, Metered, Tokens

if TYPE_CHECKING:
    from gateway.call import Call, Lease
    from gateway.state.memory import MemoryStore
    from gateway.state.table import Table


class Meter:
    """One rate limit made ready: its table, and what was there before the call that is being taken in paid."""

    __slots__ = ("before", "burst", "interval", "limit", "payer", "rate", "room", "table", "until")

    def __init__(self, rate: Metered, table: Table) -> None:
        self.limit = rate.limit
        self.payer = rate.payer
        self.rate = rate.rate
        self.burst = rate.rate.burst
        self.interval, self.room = rate.rate.interval, rate.rate.room
        self.table = table
        self.until = table.until
        self.before: float | None = None


class Prepared:
    """What a route demands. No object is made for what a call pays, and no arithmetic is done twice: every short
    request goes through here."""

    __slots__ = ("_caps", "_meters", "_store")

    def __init__(self, store: MemoryStore, meters: Sequence[Meter], caps: Sequence[Capped]) -> None:
        self._store = store
        self._meters = tuple(meters)
        self._caps = tuple(caps)

    def take(self, call: Call, now: float, yields: Call | None = None) -> Denied | None:
        """Each pays at once, and what was there before is put back for the few who are refused after all: a call that
        is refused has cost nobody anything."""
        keys: Keys = ()
        new: tuple[Meter, ...] = ()
        for meter in self._meters:
            key = meter.payer(call)
            keys += (key,)
            if key is None:
                continue
            until = meter.until
            full_at = meter.before = until.get(key)
            if full_at is None:
                new += (meter,)
            elif full_at <= now:  # bucket.take, without the call
                until[key] = now + meter.interval
            elif full_at - now <= meter.room:
                until[key] = full_at + meter.interval
            else:
                return self._lacks(keys, now)
        if self._caps:
            lent = self._lease(call, now, yields)
            if isinstance(lent, Denied):
                self._put_back(keys)
                return lent
            call.leases = lent
        if new:
            self._begin(new, keys, now)
        call.charges += keys
        call.charged = True
        return None

    def _begin(self, new: tuple[Meter, ...], keys: Keys, now: float) -> None:
        """These have a bucket from now on."""
        for meter, key in zip(self._meters, keys, strict=True):
            if meter in new and key is not None:
                meter.table.add(key, now + meter.interval, now, self._store.max_keys)

    def _put_back(self, keys: Keys) -> None:
        for meter, key in zip(self._meters, keys, strict=False):
            if key is not None and meter.before is not None:
                meter.until[key] = meter.before

    def _lacks(self, keys: Keys, now: float) -> Denied:
        """What the last of those cannot pay."""
        self._put_back(keys)
        meter, key = self._meters[len(keys) - 1], keys[-1]
        assert key is not None and meter.before is not None
        full_at = meter.until[key] = bucket.bound(meter.before, meter.rate, now)
        return Denied(Tokens(meter.limit, key, meter.rate), bucket.wait(full_at, meter.rate, now))

    def _lease(self, call: Call, now: float, yields: Call | None) -> tuple[Lease, ...] | Denied:
        who = call.poller
        places = [cap.place(key, who) for cap in self._caps if (key := cap.payer(call)) is not None]
        return self._store.lacking(places, now, yields) or self._store.lend(places, call)

    def levels(self, keys: Keys, now: float, since: float) -> tuple[int, ...]:
        numbers: tuple[int, ...] = ()
        for meter, key in zip(self._meters, keys):  # noqa: B905  # to look whether they are as many costs as much
            owed = meter.until.get(key, FULL) - now  # type: ignore[arg-type]
            if owed <= 0.0:  # bucket.told, without the call
                numbers += (meter.burst, 0)
            elif (missing := ceil(owed / meter.interval - SLACK)) <= meter.burst:
                numbers += (meter.burst - missing, ceil(owed - (missing - 1) * meter.interval) if missing else 0)
            else:
                numbers += bucket.told(owed, meter.rate, 0.0)
        return numbers
