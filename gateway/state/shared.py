"""`shared://`: the state of all workers of one machine, in memory that they share. A place that is lent here is known
to every worker at once, and counts are exact whoever asks. Where that memory cannot be asked each decides alone.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING

import lmdb

from gateway.state import bucket
from gateway.state.bucket import Level
from gateway.state.condition import Condition
from gateway.state.lmdb_crowd import OWNER
from gateway.state.lmdb_table import FULL_AT, Digests, Txn, limit_of, unpack
from gateway.state.mirror import Lent, Mirror
from gateway.state.shared_evictions import Evictions
from gateway.state.shared_lines import Key, Tickets
from gateway.state.shared_outage import OnFailure, Outage
from gateway.state.shared_owed import Owed
from gateway.state.shared_places import Places, Turns, Way
from gateway.state.shared_route import SharedRoute
from gateway.state.shared_words import Words
from gateway.state.store import Capped, Denied, Metered, Place, Tokens

if TYPE_CHECKING:
    from gateway.call import Call
    from gateway.state.bus import Bus
    from gateway.state.lmdb_map import Map


class SharedStore:
    """One worker's view of it. `owner` is the name of this start of this process; no other ever has it."""

    orders = True

    def __init__(self, shared: Map, loop: asyncio.AbstractEventLoop, bus: Bus, *, parts: int = 1,
                 on_failure: OnFailure = "local", wall: Callable[[], float] = time.time,
                 owner: str | None = None) -> None:  # fmt: skip
        self.owner = owner or os.urandom(OWNER).hex()
        self.name = bytes.fromhex(self.owner)
        self.map = shared
        self.mirror = Mirror(self._back)
        self.condition = Condition("shared://", wall(), parts=parts)
        self.outage = Outage(loop, wall, self.condition, on_failure, self._make_good)
        self._tickets = Tickets()
        self._digests: dict[str, Digests] = {}
        self.places = Places(self.map, self.mirror, self.name, self._tickets, self.digests)
        self.evictions = Evictions(self, loop)
        self.words = Words(self.name, bus, loop, self._tickets, self.evictions.gives_way)
        self._owed = Owed(self.map, self.mirror, self.places)
        self.heard = self.words.heard

    async def start(self) -> None:
        self.open()

    def open(self) -> None:
        """Raises StateError where there is no memory to be had."""
        try:
            self.map.open()
        except lmdb.Error as error:  # another has the lock, and may be gone in a moment
            self.outage.begins(error)
        else:
            self.outage.ends()

    async def close(self) -> None:
        self.shut()

    def shut(self) -> None:
        self.outage.close()
        self.map.close()

    def prepare(self, rates: Sequence[Metered], caps: Sequence[Capped]) -> SharedRoute:
        return SharedRoute(self, rates, caps)

    def digests(self, limit: str) -> Digests:
        found = self._digests.get(limit)
        if found is None:
            found = self._digests[limit] = Digests(limit)
        return found

    # -- what was decided, carried out ---------------------------------------------------------------------------

    def lined_up(self, call: Call, denied: Denied, way: Way) -> Denied:
        """The call was refused, and may have been put in line."""
        if way.ticket is not None:
            self._tickets.add(call, way.ticket)
            self.words.tell(way.turns)
        return denied

    def made_way(self, call: Call, way: Way) -> None:
        """The call was let in, and stands in no line any more."""
        self._tickets.pop(call)
        self.words.tell(way.turns)

    def lose(self, lent: Lent) -> None:
        """Another process has taken a place of this call: it loses the others too."""
        self.mirror.lose(lent.number)
        self._settle(lambda txn, turns: self.places.drop(txn, lent, turns))

    def keep(self, lent: Lent) -> None:
        """Another process has taken a place of this call, which goes on: it has it again."""
        rows: list[bytes] = []
        if self._settle(lambda txn, _: rows.append(self.places.hold(txn, lent))):
            lent.marks = rows
        else:
            lent.known = False

    # -- what comes back -----------------------------------------------------------------------------------------

    def _back(self, lent: Lent) -> None:
        if lent.marks and self._drop(lent):
            return
        if lent.marks:
            self._owed.leases.append(lent)
        self._free(lent.keys)

    def _drop(self, lent: Lent) -> bool:
        """As `_settle`, for every call that held anything."""
        turns: Turns = []
        if self.outage.lasts:
            return False
        try:
            txn = self.map.begin()
            try:
                self.places.drop(txn, lent, turns)
            except BaseException:
                self.map.abort(txn)
                raise
            self.map.commit(txn)
        except lmdb.Error as error:
            self.outage.begins(error)
            return False
        if turns:
            self.words.tell(turns)
        return True

    def leaves(self, call: Call) -> None:
        ticket = self._tickets.pop(call)
        if ticket is not None and not self._settle(lambda txn, turns: self.places.leave(txn, ticket, turns)):
            self._owed.tickets.append(ticket)

    def _settle(self, change: Callable[[Txn, Turns], object]) -> bool:
        """Whether that could be done. Whose turn it is by that is told so."""
        turns: Turns = []
        if self.outage.lasts:
            return False
        try:
            with self.map.transaction() as txn:
                change(txn, turns)
        except lmdb.Error as error:
            self.outage.begins(error)
            return False
        self.words.tell(turns)
        return True

    def _free(self, keys: Sequence[Key]) -> None:
        for key in keys:
            self.words.freed(*key)

    def _make_good(self) -> None:
        """The memory can be asked again: what happened without it is written down, and who waits asks at once."""
        if not self.map.opened:
            self.map.open()
        turns: Turns = []
        self.condition.reasserted += self._owed.pay(turns)
        self.outage.ends()
        self.words.tell(turns)
        self._free(self._tickets.keys)

    def give_back(self, demand: Tokens, now: float) -> None:
        digest, meters = self.digests(demand.limit)[demand.key], self.map.meters

        def refund(txn: Txn, _: Turns) -> None:
            full_at = meters.get(txn, digest)
            if full_at > now:
                meters.put(txn, digest, bucket.give_back(full_at, demand.rate, now), now)

        self._settle(refund)
        self.mirror.memory.give_back(demand, now)
        self.words.freed(demand.limit, demand.key)

    # -- what there is -------------------------------------------------------------------------------------------

    def read(self, digests: Sequence[bytes]) -> list[float] | None:
        """When these buckets are full; None where that cannot be asked."""
        if self.outage.lasts:
            return None
        try:
            txn = self.map.begin()
        except lmdb.Error as error:
            self.outage.begins(error)
            return None
        try:
            db = self.map.meters.db
            return [unpack(txn.get(digest, FULL_AT, db))[0] for digest in digests]
        finally:
            self.map.abort(txn)

    def level(self, demand: Tokens, now: float) -> Level:
        stored = self.read([self.digests(demand.limit)[demand.key]])
        if stored is None:
            return self.mirror.memory.level(demand, now)
        return bucket.level(bucket.bound(stored[0], demand.rate, now), demand.rate, now)

    def evicted(self, demand: Place, who: str, now: float) -> None:
        digest = self.digests(demand.limit)[demand.key]
        self._settle(lambda txn, _: self.places.bar(txn, digest, who, now + demand.grace, now))

    def held(self, limit: str, key: str) -> int:
        digest, found = self.digests(limit)[key], [0]

        def count(txn: Txn, _: Turns) -> None:
            found[0] = self.map.held.count(txn, digest)

        return found[0] if self._settle(count) else self.mirror.memory.held(limit, key)

    def holds(self, demand: Place, call: Call) -> bool:
        return self.mirror.memory.holds(demand, call)

    def retain(self, limits: Collection[str]) -> None:
        self.mirror.memory.retain(limits)
        for gone in self._digests.keys() - set(limits):
            del self._digests[gone]
        kept, more = {limit_of(limit) for limit in limits}, [True]

        def forget(txn: Txn, _: Turns) -> None:
            more[0] = self.map.meters.retain(txn, kept)

        while more[0] and self._settle(forget):
            pass

    def keys(self, limit: str) -> int:
        return self.mirror.memory.keys(limit)

    def newest(self, limit: str, most: int) -> Sequence[str]:
        return self.mirror.memory.newest(limit, most)

    def watch(self, freed: Callable[[str, str], None], ends: Callable[[Call, str], None]) -> None:
        self.words.freed = freed
        self.words.ends = ends
