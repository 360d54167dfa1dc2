"""Who polls now, by upstream, dialect and poller: what becomes of a second poll, and who comes back too soon. A seat is
a lease, so there are never more than there are polls; `serve` carries out what is decided here.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from hashlib import blake2b
from typing import TYPE_CHECKING, Final

from gateway import refusals, verdicts
from gateway.call import Lease, State
from gateway.clock import NEVER
from gateway.outcome import Outcome
from gateway.pipeline import Refusal, Reply
from gateway.policies.rate_limit import limited
from gateway.state.table import Table

if TYPE_CHECKING:
    from gateway.call import Call
    from gateway.clock import Timers
    from gateway.head import RequestHead
    from gateway.holds.plan import HoldPlan
    from gateway.state.notes import Notes

LONGEST: Final = 256  # characters of a key; what is longer is told by its digest
MOST_RESTING: Final = 100_000  # pollers remembered that had nothing; beyond it the oldest may come back as they like
_EMPTY: Final = frozenset({Outcome.EMPTY, Outcome.BLANK, Outcome.OVERRUN})
_LOSER: Final = Reply(Outcome.CONFLICT, 409)


def key_of(hold: HoldPlan, head: RequestHead) -> str | None:
    """As what a request polls, where its dialect says that; None when the request does not say."""
    key = hold.key(head) if hold.key is not None else None
    if key and len(key) > LONGEST:
        return blake2b(key.encode("utf-8", "surrogatepass"), digest_size=32).hexdigest()
    return key or None


def lost(call: Call, outcome: Outcome) -> Reply:
    """What the dialect tells a poll that has to give way."""
    return replace((call.hold.loser if call.hold is not None else None) or _LOSER, outcome=outcome)


class Seat(Lease):
    """A poll of a poller, until it is settled. `behind` is the one that is kept back for it."""

    __slots__ = ("_pollers", "behind", "call", "key")

    def __init__(self, pollers: Pollers, call: Call, key: str) -> None:
        self.call = call
        self.key = key
        self.behind: Kept | None = None
        self._pollers = pollers

    def release(self) -> None:
        self._pollers.leave(self)


class Kept:
    """A poll that is kept back, in `call.up` until it may go on: behind a seat, or until an instant (loop seconds)."""

    __slots__ = ("_pollers", "call", "key", "seat", "since", "until")

    def __init__(
        self, pollers: Pollers, call: Call, key: str, since: float, seat: Seat | None = None, until: float = NEVER
    ) -> None:
        self.call = call
        self.key = key
        self.seat = seat
        self.since = since
        self.until = until
        self._pollers = pollers

    @property
    def waits(self) -> bool:
        """A turn of the loop is no wait that a record tells of."""
        hold = self.call.hold
        return self.until != NEVER or (self.seat is not None and hold is not None and hold.concurrency != "oldest-wins")

    def cancel(self) -> None:
        """It waits no more, for whatever reason."""
        if self.seat is not None and self.seat.behind is self:
            self.seat.behind = None
        if self.waits:
            self.call.waited += self._pollers.now() - self.since

    def pause(self) -> None:
        """Nothing is read yet."""

    def resume(self) -> None:
        """Nothing was paused."""

    def upload(self, data: bytes, ended: bool) -> None:
        raise AssertionError("a body is read only once its head is sent")

    def rest(self) -> Kept | None:
        """What else it has to wait for, now that it may go on."""
        return self._pollers.rest(self.call, self.key)

    def beaten(self) -> Reply | None:
        """What it is told when the first is still there."""
        there = self.seat is not None and self.seat.call.state is not State.SETTLED
        return lost(self.call, Outcome.CONFLICT) if there else None

    def in_vain(self) -> Reply | Refusal:
        """What it is told when its time is over and we may not say "no news"."""
        if self.until == NEVER:
            return lost(self.call, Outcome.CONFLICT)
        return limited(max(self.until - self._pollers.now(), 0.0))


class Pollers:
    """All of this process, by names, so a reload changes nothing. Of other workers only who rests is known."""

    __slots__ = ("_loop", "_resting", "_seats", "notes", "now")

    def __init__(self, loop: asyncio.AbstractEventLoop, timers: Timers) -> None:
        self.now = timers.now
        self.notes: Notes | None = None  # None: there are no other workers
        self._loop = loop
        self._seats: dict[str, Seat] = {}  # the latest of each poller
        self._resting = Table()  # until when a poller may not come back

    def __len__(self) -> int:
        return len(self._seats)

    def enter(self, call: Call, upstream: str) -> Kept | Reply | None:
        """Takes a seat for a poll that its limits let in. None: it goes on. A Reply: it lost. Kept: it waits."""
        hold, key = call.hold, _full_key(call, upstream)
        if hold is None or key is None:
            return None
        if hold.concurrency == "many":
            call.leases = (*call.leases, Seat(self, call, key))  # only to know how it ends
            return self.rest(call, key)
        seat = self._seats.get(key)
        if seat is None:
            self._sit(call, key)
            return self.rest(call, key)
        return self._newest(call, seat) if hold.concurrency == "newest-wins" else self._after(call, hold, seat)

    def giving_way(self, call: Call, upstream: str) -> Call | None:
        """The poll that ends when this one is let in: a limit need not count it."""
        if call.hold is None or call.hold.concurrency != "newest-wins":
            return None
        key = _full_key(call, upstream)
        seat = self._seats.get(key) if key is not None else None
        return seat.call if seat is not None and _gives_way(seat.call, call) else None

    def supersede(self, older: Call, newer: Call) -> None:
        older.note = f"for {newer.id}"
        older.serve.on_superseded(older)

    def _newest(self, call: Call, seat: Seat) -> Kept | Reply:
        """Ends the older, then lets this one wait for one turn of the loop: in that the connection is closed which the
        older had to the upstream. One that came earlier, but was let in later, is the older."""
        if seat.call.started > call.started and seat.call.state is not State.SETTLED:
            call.note = f"for {seat.call.id}"
            return lost(call, Outcome.SUPERSEDED)
        behind = seat.behind.call if seat.behind is not None else None  # only by a rule that a reload has changed
        for older in (behind, seat.call):
            if older is not None and _gives_way(older, call):
                self.supersede(older, call)
        self._sit(call, seat.key)
        kept = Kept(self, call, seat.key, self.now())
        self._loop.call_soon(self._go, kept)
        return kept

    def _after(self, call: Call, hold: HoldPlan, seat: Seat) -> Kept | Reply:
        """One may wait until the first has ended; where the oldest wins, only for a turn of the loop: in that the first
        is told that its client is gone, and its connection is closed."""
        if seat.behind is not None:
            return lost(call, Outcome.CONFLICT)
        kept = seat.behind = Kept(self, call, seat.key, self.now(), seat)
        if hold.concurrency == "oldest-wins" and seat.call.state is not State.SETTLED:
            self._loop.call_soon(self._decide, kept, seat)
        return kept

    def _decide(self, kept: Kept, seat: Seat) -> None:
        """A first that has ended lets the other go on when its seat is free."""
        if seat.call.state is not State.SETTLED:
            self._go(kept)

    def rest(self, call: Call, key: str) -> Kept | None:
        """Keeps a poll back that comes too soon after one without news."""
        if call.hold is None or not call.hold.min_repoll:
            return None
        until, now = self._resting.until.get(key, 0.0), self.now()
        if until <= now and self.notes is not None and (found := self.notes.get(("rests", key), now)):
            until = found[1]
        return Kept(self, call, key, now, until=until) if until > now else None

    def _sit(self, call: Call, key: str) -> None:
        seat = self._seats[key] = Seat(self, call, key)
        call.leases = (*call.leases, seat)

    def leave(self, seat: Seat) -> None:
        """A poll is over. Its seat is free in the next turn: its connection to the upstream is closed by then."""
        hold = seat.call.hold
        if hold is not None and hold.min_repoll and seat.call.outcome in _EMPTY:
            self._rests(seat.key, self.now(), hold.min_repoll)
        if self._seats.get(seat.key) is seat:
            self._loop.call_soon(self._free, seat)

    def _rests(self, key: str, now: float, seconds: float) -> None:
        if self.notes is not None:
            self.notes.put(("rests", key), b"", now + seconds)
        if key not in self._resting.until:
            self._resting.add(key, now + seconds, now, MOST_RESTING)
        self._resting.until[key] = now + seconds

    def _free(self, seat: Seat) -> None:
        if self._seats.get(seat.key) is not seat:  # a newer poll has taken it
            return
        if seat.behind is None:
            del self._seats[seat.key]
        else:
            self._sit(seat.behind.call, seat.key)
            self._go(seat.behind)

    def _go(self, kept: Kept) -> None:
        """A bug in one call must not stop the loop, nor leave the call without an end."""
        call = kept.call
        if call.up is not kept:
            return
        try:
            call.serve.on_turn(call)
        except Exception as error:
            self._loop.call_exception_handler({"message": "a call that was kept back failed", "exception": error})
            call.serve.refuse(call, refusals.INTERNAL)


def _gives_way(older: Call, newer: Call) -> bool:
    """One whose answer has begun is left alone, unless it is only held."""
    held = older.state in (State.WAITING, State.PARKED) or verdicts.only_held(older)
    return held and older.started <= newer.started


def _full_key(call: Call, upstream: str) -> str | None:
    """What a client writes counts within its consumer: nobody ends the polls of others by knowing their names."""
    hold = call.hold
    if hold is None:
        return None
    if hold.key is None:
        return "\0".join((upstream, hold.dialect, call.poller))
    if call.key is None:
        return None
    consumer = call.identity.consumer if call.identity is not None else ""
    return "\0".join((upstream, hold.dialect, consumer, call.key))
