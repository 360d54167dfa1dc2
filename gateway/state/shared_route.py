"""A transaction of `shared://`, made ready for one route: the way of every limited call of every worker. What it can
know before the transaction it makes ready before; in it there is arithmetic.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import lmdb

from gateway.state import bucket
from gateway.state.bucket import FULL
from gateway.state.lmdb_table import FULL_AT, Digests, Txn, pack, unpack
from gateway.state.mirror import Alone
from gateway.state.prepared import Meter
from gateway.state.shared_evictions import Taking
from gateway.state.shared_places import NOBODYS, Want, Way
from gateway.state.store import Capped, Demand, Denied, Keys, Metered, Place, Taken, Tokens
from gateway.state.table import Table

if TYPE_CHECKING:
    from gateway.call import Call
    from gateway.state.shared import SharedStore

NOTHING: Final = bytes(16)  # the digest of nobody
MOMENT: Final = 0.05  # seconds


class SharedMeter(Meter):
    """And by which digest its keys are known to all processes, and what the call that is being taken in will pay."""

    __slots__ = ("after", "comes", "digest", "digests", "key")

    def __init__(self, rate: Metered, table: Table, digests: Digests) -> None:
        super().__init__(rate, table)
        self.digests = digests
        self.key: str | None = None
        self.after = FULL
        self.digest = NOTHING
        self.comes = False  # nobody has asked for that key in a while


class SharedRoute:
    """What a route demands."""

    __slots__ = ("_alone", "_caps", "_condition", "_map", "_meters", "_most", "_outage", "_places", "_store")

    def __init__(self, store: SharedStore, rates: Sequence[Metered], caps: Sequence[Capped]) -> None:
        memory = store.mirror.memory
        self._store = store
        self._map = store.map
        self._places = store.places
        self._outage = store.outage
        self._condition = store.condition
        self._most = memory.max_keys
        self._meters = tuple(
            [SharedMeter(rate, memory.meters(rate.limit), store.digests(rate.limit)) for rate in rates]
        )
        self._caps = tuple([(cap, store.digests(cap.limit)) for cap in caps])
        self._alone = Alone(store.mirror, rates, caps, lambda: store.condition.parts)

    def take(self, call: Call, now: float, yields: Call | None = None, spared: frozenset[bytes] = NOBODYS,
             ) -> Taken | asyncio.Future[Taken]:  # fmt: skip
        keys: Keys = ()
        for meter in self._meters:
            key = meter.key = meter.payer(call)
            keys += (key,)
            if key is not None:
                meter.digest = meter.digests[key]
        wants = self._wants(call) if self._caps else []
        if self._outage.lasts:
            return self._without(call, keys, wants, now, yields)
        number = self._store.mirror.number() if wants else 0
        try:
            txn = self._map.begin()
            try:
                denied, way, row = self._decide(txn, call, number, wants, now, yields, spared)
            except BaseException:
                self._map.abort(txn)
                raise
            self._map.commit(txn)
        except lmdb.Error as error:
            self._outage.begins(error)
            return self._without(call, keys, wants, now, yields)
        self._condition.decisions["asked"] += 1
        if denied is not None:
            return self._store.lined_up(call, denied, way) if way is not None else denied
        for meter in self._meters:  # what this process goes by where it decides alone, and an operator sees of its keys
            key = meter.key
            if key in meter.until:
                meter.until[key] = meter.after  # who is in the table has a key
            elif key is not None:
                meter.table.add(key, meter.after, now, self._most)
        if way is not None:
            return self._store.evictions.entered(Taking(self, call, keys, wants, now, yields, spared), number, row, way)
        if wants:
            self._store.mirror.lend(call, number, [place for place, _ in wants], marks=(row,))
        call.charges += keys
        call.charged = True
        return None

    def pays(self, call: Call, keys: Keys) -> None:
        """It has all that it demanded."""
        call.charges += keys
        call.charged = True

    def tokens(self, keys: Keys) -> list[Tokens]:
        """What those paid."""
        pairs = zip(self._meters, keys, strict=True)
        return [Tokens(meter.limit, key, meter.rate) for meter, key in pairs if key is not None]

    def _wants(self, call: Call) -> list[Want]:
        who = call.poller
        return [
            (cap.place(key, who), digests[key]) for cap, digests in self._caps if (key := cap.payer(call)) is not None
        ]

    def _decide(
        self,
        txn: Txn,
        call: Call,
        number: int,
        wants: list[Want],
        now: float,
        yields: Call | None,
        spared: frozenset[bytes],
    ) -> tuple[Denied | None, Way | None, bytes]:
        """Looks at everything before anything is written: a call that is refused has cost nobody anything."""
        table, way, row = self._map.meters, None, b""
        for meter in self._meters:
            if meter.key is not None:
                stored = txn.get(meter.digest, FULL_AT, table.db)
                meter.comes = stored is FULL_AT
                full_at = unpack(stored)[0]
                if full_at <= now:  # bucket.take, without the call
                    meter.after = now + meter.interval
                elif full_at - now <= meter.room:
                    meter.after = full_at + meter.interval
                else:
                    return self._lacks(txn, meter, full_at, now), None, row
        if wants:
            denied, way = self._places.find(txn, call, wants, now, yields, spared)
            if denied is not None:
                return denied, way, row
            row = self._places.enter(txn, call, number, wants, way, now)
        for meter in self._meters:
            if meter.key is not None:
                if meter.comes:
                    table.add(txn, meter.digest, meter.after, now)
                else:
                    txn.put(meter.digest, pack(meter.after), True, True, False, table.db)  # db by name costs more
        return None, way, row

    def _lacks(self, txn: Txn, meter: SharedMeter, full_at: float, now: float) -> Denied:
        bounded = bucket.bound(full_at, meter.rate, now)
        if bounded != full_at:
            txn.put(meter.digest, pack(bounded), db=self._map.meters.db)
        assert meter.key is not None
        return Denied(Tokens(meter.limit, meter.key, meter.rate), bucket.wait(bounded, meter.rate, now))

    def _without(self, call: Call, keys: Keys, wants: list[Want], now: float, yields: Call | None) -> Denied | None:
        """What becomes of a call while the memory cannot be asked: as the operator wants it."""
        outage, decisions = self._outage, self._condition.decisions
        if outage.on_failure == "local":
            decisions["alone"] += 1
            return self._alone.take(call, now, yields)
        demand = self._demand(wants)
        if outage.on_failure == "closed" and demand is not None:
            decisions["refused"] += 1
            return Denied(demand, 1.0, failed=True)
        decisions["open"] += 1
        call.charges += keys  # whom it would have cost; as it cost nobody, nobody gets it back
        if wants:
            mirror = self._store.mirror
            mirror.lend(call, mirror.number(), [place for place, _ in wants], known=False)
        return None

    def _demand(self, wants: list[Want]) -> Demand | None:
        """Something of what is demanded, if anything is."""
        for meter in self._meters:
            if meter.key is not None:
                return Tokens(meter.limit, meter.key, meter.rate)
        place: Place | None = wants[0][0] if wants else None
        return place

    def levels(self, keys: Keys, now: float, since: float) -> tuple[int, ...]:
        """As they are now, for others may have called since; or as they were when the call was let in, if that was just
        now: a second transaction would cost it 10 us more."""
        stored = None
        if now - since > MOMENT:
            stored = self._store.read([meter.digests[key] for meter, key in zip(self._meters, keys)])  # type: ignore[index]  # noqa: B905
        numbers: tuple[int, ...] = ()
        at = 0
        for meter in self._meters:
            full_at = stored[at] if stored is not None else meter.until.get(keys[at], FULL)  # type: ignore[arg-type]
            numbers += bucket.told(full_at, meter.rate, now)
            at += 1  # noqa: SIM113  # enumerate and zip cost as much as a lookup
        return numbers
