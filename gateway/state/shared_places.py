"""What becomes of a call's demand for places, within a transaction: whether there is one, whose turn it is, and who
loses his where one may be taken away. Looks at everything first; only then anything is written.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from gateway.call import State
from gateway.state.lmdb_crowd import (
    NOBODY,
    bearer_of,
    came,
    may_end,
    number_of,
    owner_of,
    poller_of,
    row_of,
)  # fmt: skip
from gateway.state.lmdb_table import Digests, Txn
from gateway.state.shared_lines import Key, Ticket, Tickets
from gateway.state.store import Denied, Place

if TYPE_CHECKING:
    from gateway.call import Call
    from gateway.state.lmdb_map import Map
    from gateway.state.mirror import Lent, Mirror

MOST_ENDED: Final = 100  # for one call, where a cap was lowered

NOBODYS: frozenset[bytes] = frozenset()

Want = tuple[Place, bytes]  # and its digest
Turns = list[tuple[bytes, bytes]]  # owners to be told that it is their turn, and at what digest


@dataclass(slots=True)
class Way:
    """What it takes to let a call in, or to put it in line."""

    victims: dict[bytes, bytes] = field(default_factory=dict)  # by bearer: the row of each
    bars: dict[bytes, float] = field(default_factory=dict)  # who evicts nobody -> until when
    handed: bytes | None = None  # the victim that gives way to a later poll of its own poller
    ticket: Ticket | None = None  # the one it gets
    turns: Turns = field(default_factory=list)
    spared: frozenset[bytes] = NOBODYS  # bearers who said that they go on


class Places:
    __slots__ = ("_digests", "_map", "_mirror", "_owner", "_pollers", "_tickets")

    def __init__(self, shared: Map, mirror: Mirror, owner: bytes, tickets: Tickets,
                 digests: Callable[[str], Digests]) -> None:  # fmt: skip
        self._map = shared
        self._mirror = mirror
        self._owner = owner
        self._tickets = tickets
        self._digests = digests
        self._pollers = Digests("pollers")

    def poller(self, who: str) -> bytes:
        """As which a poller is known to all processes."""
        return self._pollers[who][-8:]

    def find(self, txn: Txn, call: Call, wants: Sequence[Want], now: float, yields: Call | None,
             spared: frozenset[bytes]) -> tuple[Denied | None, Way | None]:  # fmt: skip
        """The way in; with a Denied, the way into the line. None: there is nothing in the way."""
        held, queue, way = self._map.held, self._map.queued.rows, None
        for place, digest in wants:
            if txn.get(digest, None, queue) is None and held.count(txn, digest) < place.max:
                continue
            way = way or Way(spared=spared)
            denied = self._make_way(txn, call, place, digest, now, yields, way)
            if denied is not None:
                return denied, way
        return None, way if way is not None or self._tickets.of(call) is None else Way()

    def _make_way(self, txn: Txn, call: Call, place: Place, digest: bytes, now: float, yields: Call | None,
                  way: Way) -> Denied | None:  # fmt: skip
        ticket, first = self._tickets.of(call), self._map.queued.first(txn, digest)
        behind = first is not None and (ticket is None or ticket.row != first)
        missing = self._map.held.count(txn, digest) + 1 - place.max
        if missing <= 0 and not behind:
            return None
        if yields is not None and self._hand_on(txn, place, digest, yields, way):
            return None
        if behind or not place.evict:
            return self._line_up(txn, call, place, digest, 1.0, way)
        barred = self._map.barred.get(txn, digest + self.poller(place.who))
        if now < barred:
            return self._line_up(txn, call, place, digest, max(barred - now, 1.0), way)
        if not self._evict(txn, place, digest, now, missing, way):
            return self._line_up(txn, call, place, digest, 1.0, way)
        return None

    def _hand_on(self, txn: Txn, place: Place, digest: bytes, yields: Call, way: Way) -> bool:
        """Nobody is passed by who gets the place of an older poll of the same poller."""
        lent = self._mirror.of(yields) if self._mirror.memory.holds(place, yields) else None
        if lent is None or not lent.known or not self._map.held.has(txn, digest, lent.marks[0]):
            return False
        way.handed = bearer_of(lent.marks[0])
        way.victims[way.handed] = lent.marks[0]
        return True

    def _evict(self, txn: Txn, place: Place, digest: bytes, now: float, missing: int, way: Way) -> bool:
        """Whether enough can be ended, oldest first."""
        rows = self._map.held.each(txn, digest)
        missing -= sum([bearer_of(row) in way.victims for row in rows])
        if missing > MOST_ENDED or place.max <= 0:
            return False
        for row in rows:
            if missing <= 0:
                break
            if bearer_of(row) not in way.victims and bearer_of(row) not in way.spared and self._evictable(row):
                way.victims[bearer_of(row)] = row
                way.bars[digest + poller_of(row)] = now + place.grace
                missing -= 1
        return missing <= 0

    def _evictable(self, row: bytes) -> bool:
        """Of a call of this process it is known, of another's it is told before it is ended."""
        if owner_of(row) != self._owner:
            return may_end(row)
        lent = self._mirror.lent.get(number_of(row))
        return lent is None or lent.call.evictable

    def _line_up(self, txn: Txn, call: Call, place: Place, digest: bytes, wait: float, way: Way) -> Denied:
        queued, ticket = self._map.queued, self._tickets.of(call)
        if ticket is not None and ticket.digest == digest:
            return Denied(place, wait, queued=True)
        if place.line <= 0 or queued.count(txn, digest) >= place.line:
            return Denied(place, wait)
        self._map.make_room(txn)
        row = row_of(txn.id(), self._owner, self._mirror.number(), 0, NOBODY)
        way.ticket = Ticket(row, digest, (place.limit, place.key))
        txn.put(digest, row, db=queued.rows)
        if ticket is not None:
            self.leave(txn, ticket, way.turns)
        return Denied(place, wait, queued=True)

    def leave(self, txn: Txn, ticket: Ticket, turns: Turns) -> None:
        """Whoever is first then asks whether there is a place."""
        first = self._map.queued.first(txn, ticket.digest) == ticket.row
        if self._map.queued.drop(txn, ticket.digest, ticket.row) and first:
            self._turn(txn, ticket.digest, turns)

    def enter(self, txn: Txn, call: Call, number: int, wants: Sequence[Want], way: Way | None, now: float) -> bytes:
        """Takes the places, along that way: the row by which they are known."""
        if way is None:
            self._map.make_room(txn)
        else:
            freed = self._end(txn, way, wants, now)
        who, rows = NOBODY, self._map.held.rows
        for place, _ in wants:
            if place.evict:
                who = self.poller(call.poller)
        row = row_of(txn.id(), self._owner, number, _may_end(call), who)
        for _, digest in wants:
            txn.put(digest, row, db=rows)
        if way is not None:
            self._let_next(txn, call, wants, way, freed)
        return row

    def hold(self, txn: Txn, lent: Lent) -> bytes:
        """Makes a lease known that was lent while nobody could be told, or that lost places and has them again: the row
        by which it is known from now on."""
        barred, held, old = self._map.barred.db, self._map.held.rows, lent.marks[0] if lent.marks else None
        came_in = came(old) if old is not None else txn.id()
        row = row_of(came_in, self._owner, lent.number, _may_end(lent.call), self.poller(lent.call.poller))
        for digest in self._of(lent.keys):
            if old is not None:
                txn.delete(digest, old, held)
                txn.delete(digest + poller_of(old), db=barred)
            txn.put(digest, row, db=held)
        return row

    def _of(self, keys: Iterable[Key]) -> list[bytes]:
        return [self._digests(limit)[key] for limit, key in keys]

    def _end(self, txn: Txn, way: Way, wants: Sequence[Want], now: float) -> set[bytes]:
        """Takes away all places that a victim of this process has. Of another's only those that are wanted: it gives
        the rest back itself, when it is told."""
        freed: set[bytes] = set()
        wanted = [digest for _, digest in wants]
        for row in way.victims.values():
            lent = self._mirror.lent.get(number_of(row)) if owner_of(row) == self._owner else None
            digests = self._of(lent.keys) if lent is not None else wanted
            freed.update([digest for digest in digests if self._map.held.drop(txn, digest, row)])
        for poller, until in way.bars.items():
            self._map.barred.put(txn, poller, until, now)
        return freed

    def _let_next(self, txn: Txn, call: Call, wants: Sequence[Want], way: Way, freed: set[bytes]) -> None:
        """The call stands in no line any more, and what it leaves free is somebody's turn."""
        ticket = self._tickets.of(call)
        if ticket is not None:
            self._map.queued.drop(txn, ticket.digest, ticket.row)
            freed.add(ticket.digest)
        full = {digest for place, digest in wants if self._map.held.count(txn, digest) >= place.max}
        for digest in freed - full:
            self._turn(txn, digest, way.turns)

    def drop(self, txn: Txn, lent: Lent, turns: Turns) -> None:
        """Gives back what a call has, as far as it has not lost it."""
        held, queue = self._map.held.rows, self._map.queued.rows
        for limit, key in lent.keys:
            digest = self._digests(limit)[key]
            if txn.delete(digest, lent.marks[0], held) and txn.get(digest, None, queue) is not None:
                self._turn(txn, digest, turns)

    def bar(self, txn: Txn, digest: bytes, who: str, until: float, now: float) -> None:
        self._map.barred.put(txn, digest + self.poller(who), until, now)

    def _turn(self, txn: Txn, digest: bytes, turns: Turns) -> None:
        first = self._map.queued.first(txn, digest)
        if first is not None:
            turns.append((owner_of(first), digest))


def _may_end(call: Call) -> bool:
    """Whether it is, or will be, one that can be ended to make room (`Call.evictable`)."""
    if call.state > State.PARKED and call.upgrade is None:
        return False
    return call.blank is not None or call.upgrade is not None or (call.hold is not None and call.hold.tells_apart)
