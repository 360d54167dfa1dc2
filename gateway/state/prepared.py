"""A transaction of `memory://`, made ready for one route: the way of every limited call, so each line of it has been
weighed. It finds its tables once and makes no object for what a call pays.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil
from typing import TYPE_CHECKING

from gateway.state import bucket
from gateway.state.bucket import FULL, SLACK
from gateway.state.holders import PlaceLease
from gateway.state.store import Capped, Denied, Keys, Metered, Tokens

if TYPE_CHECKING:
    from gateway.call import Call
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


class Room:
    """One cap made ready: how many may have a place under it."""

    __slots__ = ("cap", "limit", "most", "payer")

    def __init__(self, cap: Capped) -> None:
        self.cap = cap
        self.limit = cap.limit
        self.payer = cap.payer
        self.most = cap.place("", "").max


class Prepared:
    """What a route demands. No object is made for what a call pays, and no arithmetic is done twice: every short
    request goes through here."""

    __slots__ = ("_meters", "_rooms", "_store")

    def __init__(self, store: MemoryStore, meters: Sequence[Meter], caps: Sequence[Capped]) -> None:
        self._store = store
        self._meters = tuple(meters)
        self._rooms = tuple([Room(cap) for cap in caps])

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
        if self._rooms:
            denied = self._lend(call, now, yields)
            if denied is not None:
                self._put_back(keys)
                return denied
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

    def _lend(self, call: Call, now: float, yields: Call | None) -> Denied | None:
        """A place under every cap that is meant for the call, and none before it is known that there are all."""
        leases: tuple[PlaceLease, ...] = ()
        for room in self._rooms:
            key = room.payer(call)
            if key is None:
                continue
            table = self._store.holders(room.limit)
            if table.count(key) >= room.most:
                return self._crowded(call, now, yields)
            leases += (PlaceLease(table, key, call),)
        for lease in leases:
            lease.take()
        call.leases = leases
        return None

    def _crowded(self, call: Call, now: float, yields: Call | None) -> Denied | None:
        """What is lacking, spelled out; and who could make room for it."""
        who = call.poller
        places = [room.cap.place(key, who) for room in self._rooms if (key := room.payer(call)) is not None]
        return self._store.lacking(places, now, yields)

    def levels(self, keys: Keys, now: float, since: float) -> tuple[int, ...]:
        numbers: list[int] = []
        for meter, key in zip(self._meters, keys):  # noqa: B905  # to look whether they are as many costs as much
            owed = meter.until.get(key, FULL) - now  # type: ignore[arg-type]
            if owed <= 0.0:  # bucket.told, without the call
                numbers.append(meter.burst)
                numbers.append(0)
            elif (missing := ceil(owed / meter.interval - SLACK)) <= meter.burst:
                numbers.append(meter.burst - missing)
                numbers.append(ceil(owed - (missing - 1) * meter.interval) if missing else 0)
            else:
                numbers += bucket.told(owed, meter.rate, 0.0)
        return tuple(numbers)
