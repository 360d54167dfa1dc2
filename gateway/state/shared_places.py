"""What becomes of a call's demand for places, within a transaction: whether there is one, whose turn it is, and who
loses his where one may be taken away. Looks at everything first; only then anything is written.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from gateway.state.lmdb_crowd import EVICTABLE, FIRM, NOBODY, OWNER, digests_of, number_of, poller_of, u64
from gateway.state.lmdb_table import Digests, Txn
from gateway.state.shared_lines import Ticket, Tickets
from gateway.state.store import Denied, Place

if TYPE_CHECKING:
    from gateway.call import Call
    from gateway.state.lmdb_map import Map
    from gateway.state.mirror import Mirror

MOST_ENDED = 100  # for one call, where a cap was lowered

Want = tuple[Place, bytes]  # and its digest
Turns = list[tuple[bytes, bytes]]  # owners to be told that it is their turn, and at what digest


@dataclass(slots=True)
class Way:
    """What it takes to let a call in, or to put it in line."""

    victims: dict[bytes, bytes] = field(default_factory=dict)  # bearer -> its entry
    bars: dict[bytes, float] = field(default_factory=dict)  # who evicts nobody -> until when
    handed: bytes | None = None  # the victim that gives way to a later poll of its own poller
    ticket: Ticket | None = None  # the one it gets
    turns: Turns = field(default_factory=list)


class Places:
    __slots__ = ("_map", "_mirror", "_owner", "_pollers", "_tickets")

    def __init__(self, shared: Map, mirror: Mirror, owner: bytes, tickets: Tickets) -> None:
        self._map = shared
        self._mirror = mirror
        self._owner = owner
        self._tickets = tickets
        self._pollers = Digests("pollers")

    def poller(self, who: str) -> bytes:
        """As which a poller is known to all processes."""
        return self._pollers[who][-8:]

    def find(self, txn: Txn, call: Call, wants: list[Want], now: float, yields: Call | None,
             ) -> tuple[Denied | None, Way | None]:  # fmt: skip
        """The way in; with a Denied, the way into the line. None: there is nothing in the way."""
        held, queue, way = self._map.held, self._map.queued.rows, None
        for place, digest in wants:
            if txn.get(digest, None, queue) is None and held.count(txn, digest) < place.max:
                continue
            way = way or Way()
            denied = self._make_way(txn, call, place, digest, now, yields, way)
            if denied is not None:
                return denied, way
        return None, way if way is not None or self._tickets.of(call) is None else Way()

    def _make_way(self, txn: Txn, call: Call, place: Place, digest: bytes, now: float,
                  yields: Call | None, way: Way) -> Denied | None:  # fmt: skip
        ticket, first = self._tickets.of(call), self._map.queued.first(txn, digest)
        behind = first is not None and (ticket is None or ticket.bearer != first)
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
        if lent is None:
            return False
        bearer = self._owner + u64(lent.number)
        entry = self._map.held.entry(txn, bearer)
        if entry is None or digest not in digests_of(entry):
            return False
        way.victims[bearer], way.handed = entry, bearer
        return True

    def _evict(self, txn: Txn, place: Place, digest: bytes, now: float, missing: int, way: Way) -> bool:
        """Whether enough can be ended, oldest first."""
        missing -= sum([digest in digests_of(entry) for entry in way.victims.values()])
        if missing <= 0:
            return True
        if missing > MOST_ENDED or place.max <= 0:
            return False
        for row in self._map.held.each(txn, digest):
            bearer = row[8:24]
            entry = self._map.held.entry(txn, bearer) if self._evictable(row) and bearer not in way.victims else None
            if entry is not None:
                way.victims[bearer] = entry
                way.bars[digest + poller_of(entry)] = now + place.grace
                missing -= 1
                if not missing:
                    return True
        return False

    def _evictable(self, row: bytes) -> bool:
        """Of a call of this process it is known, of another's it is told before it is ended."""
        if row[8 : 8 + OWNER] != self._owner:
            return row[24:] == EVICTABLE
        lent = self._mirror.lent.get(number_of(row[8:24]))
        return lent is None or lent.call.evictable

    def _line_up(self, txn: Txn, call: Call, place: Place, digest: bytes, wait: float,
                 way: Way) -> Denied:  # fmt: skip
        queued, ticket = self._map.queued, self._tickets.of(call)
        if ticket is not None and ticket.digest == digest:
            return Denied(place, wait, queued=True)
        if place.line <= 0 or queued.count(txn, digest) >= place.line:
            return Denied(place, wait)
        bearer = self._owner + u64(self._mirror.number())
        way.ticket = Ticket(bearer, digest, (place.limit, place.key))
        queued.add(txn, bearer, [digest])
        if ticket is not None:
            self.leave(txn, ticket, way.turns)
        return Denied(place, wait, queued=True)

    def leave(self, txn: Txn, ticket: Ticket, turns: Turns) -> None:
        """Whoever is first then asks whether there is a place."""
        first = self._map.queued.first(txn, ticket.digest)
        if self._map.queued.drop(txn, ticket.bearer) and first == ticket.bearer:
            self._turn(txn, ticket.digest, turns)

    def enter(self, txn: Txn, call: Call, number: int, wants: list[Want], way: Way | None,
              now: float) -> None:  # fmt: skip
        """Takes the places, along that way."""
        freed = self._end(txn, way, now) if way is not None else set()
        self.hold(txn, call, number, [digest for _, digest in wants], self._who(wants))
        if way is not None:
            ticket = self._tickets.of(call)
            if ticket is not None:
                self._map.queued.drop(txn, ticket.bearer)
                freed.add(ticket.digest)
            full = {digest for place, digest in wants if self._map.held.count(txn, digest) >= place.max}
            for digest in freed - full:
                self._turn(txn, digest, way.turns)

    def hold(self, txn: Txn, call: Call, number: int, digests: list[bytes], who: bytes = NOBODY) -> None:
        flag = EVICTABLE if _may_end(call) else FIRM
        self._map.held.add(txn, self._owner + u64(number), digests, flag, who)

    def _who(self, wants: list[Want]) -> bytes:
        """Whom to bar if it has to give way: only a cap that may take places away has a use for that."""
        for place, _ in wants:
            if place.evict:
                return self.poller(place.who)
        return NOBODY

    def _end(self, txn: Txn, way: Way, now: float) -> set[bytes]:
        freed: set[bytes] = set()
        for bearer in way.victims:
            freed.update(self._map.held.drop(txn, bearer))
        for poller, until in way.bars.items():
            self._map.barred.put(txn, poller, until, now)
        return freed

    def drop(self, txn: Txn, number: int, turns: Turns) -> bool:
        """Gives back what that call has, if it has not lost it."""
        digests = self._map.held.drop(txn, self._owner + u64(number))
        for digest in digests:
            self._turn(txn, digest, turns)
        return bool(digests)

    def bar(self, txn: Txn, digest: bytes, who: str, until: float, now: float) -> None:
        self._map.barred.put(txn, digest + self.poller(who), until, now)

    def _turn(self, txn: Txn, digest: bytes, turns: Turns) -> None:
        first = self._map.queued.first(txn, digest)
        if first is not None:
            turns.append((first[:OWNER], digest))


def _may_end(call: Call) -> bool:
    """Whether it will be one that can be ended to make room (`Call.evictable`), when it is parked."""
    return call.blank is not None or call.upgrade is not None or (call.hold is not None and call.hold.tells_apart)
