"""A store elsewhere, for tests of those who ask it: the authority that lends to several processes (`remote.Front`), on
one loop. It decides at once or whenever its seed says; its answers keep their order, its words come when they come.
What real stores do is in `tests/store`; this is what they promise, and it can be looked into.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

from gateway.call import Call
from gateway.state import bucket
from gateway.state.bucket import FULL
from gateway.state.store import Denied, Keys, Place, Taken, Tokens

Key = tuple[str, str]


class Process(Protocol):
    """Who asks."""

    name: str
    dead: bool
    told: Channel

    def turn(self, limit: str, key: str) -> None: ...


@dataclass(eq=False)
class Bearer:
    """A call, as the authority knows it. `lost`: it had places and has them no more."""

    front: Process
    call: Call
    who: str
    evictable: bool
    ticket: int | None = None
    lost: bool = False
    queued: bool = False  # as its process was told
    unheard: int = 0  # asks of it that are not answered

    def __repr__(self) -> str:
        return f"{self.front.name}:{self.call.peer}"


class Ask(NamedTuple):
    bearer: Bearer
    keys: Keys
    tokens: list[Tokens]
    places: list[Place]
    yields: Bearer | None


class Channel:
    """From one party to another: in order, each message in its time."""

    def __init__(self, loop: asyncio.AbstractEventLoop, delay: Callable[[], float]) -> None:
        self._loop = loop
        self._delay = delay
        self.waiting: deque[tuple[Callable[..., None], tuple[Any, ...]]] = deque()

    def send(self, act: Callable[..., None], *what: Any) -> None:
        self.waiting.append((act, what))
        self._loop.call_later(self._delay(), self._deliver)

    def _deliver(self) -> None:
        act, what = self.waiting.popleft()
        act(*what)


@dataclass
class Authority:
    """`delay` None: it is asked without waiting, as the memory of a machine is, and only words take `words()`."""

    loop: asyncio.AbstractEventLoop
    words: Callable[[], float]
    delay: Callable[[], float] | None = None
    full_at: dict[Key, float] = field(default_factory=dict)
    holders: dict[Key, list[Bearer]] = field(default_factory=dict)
    lines: dict[Key, list[Bearer]] = field(default_factory=dict)
    most: dict[Key, int] = field(default_factory=dict)
    barred: dict[tuple[str, str, str], float] = field(default_factory=dict)
    tickets: int = 0
    decisions: int = 0

    # -- decisions -----------------------------------------------------------------------------------------------

    def decide(self, ask: Ask) -> tuple[Taken, list[Bearer]]:
        """What comes of it, and who loses its places."""
        self.decisions += 1
        now, me = self.loop.time(), ask.bearer
        after: dict[Key, float] = {}
        for demand in ask.tokens:
            key = (demand.limit, demand.key)
            full = bucket.take(self.full_at.get(key, FULL), demand.rate, now)
            if full is None:
                return Denied(demand, bucket.wait(self.full_at[key], demand.rate, now)), []
            after[key] = full
        victims: list[Bearer] = []
        for place in ask.places:
            found = self._find(place, me, ask.yields, now)
            if isinstance(found, Denied):
                return found, []
            victims += [one for one in found if one not in victims]
        self.full_at.update(after)
        self._leave(me)
        for place in ask.places:
            for victim in victims:
                if victim is not ask.yields and victim in self.holders.get((place.limit, place.key), ()):
                    self.barred[(place.limit, place.key, victim.who)] = now + place.grace
        for victim in victims:
            victim.lost = True
            self._gone(victim)
        for place in ask.places:
            self.holders.setdefault((place.limit, place.key), []).append(me)
        self.nudge()
        return None, victims

    def _find(self, place: Place, me: Bearer, yields: Bearer | None, now: float) -> list[Bearer] | Denied:
        key = (place.limit, place.key)
        holders, line = self.holders.setdefault(key, []), self.lines.setdefault(key, [])
        self.most[key] = place.max
        ahead = line.index(me) if me in line else len(line)
        if len(holders) + ahead < place.max:
            return []
        if yields in holders and yields is not None:
            return [yields]
        if place.evict:
            until = self.barred.get((*key, place.who), FULL)
            if now < until:
                return Denied(place, max(until - now, 1.0))
            oldest = next((one for one in holders if one.evictable), None)
            return [oldest] if oldest is not None else Denied(place, 1.0)
        if me not in line and len(line) < place.line:
            self._leave(me)
            self.tickets += 1
            me.ticket = self.tickets
            line.append(me)
            self.nudge()
        return Denied(place, 1.0, queued=me in line)

    def _gone(self, bearer: Bearer) -> None:
        for holders in self.holders.values():
            if bearer in holders:
                holders.remove(bearer)

    def _leave(self, bearer: Bearer) -> None:
        for line in self.lines.values():
            if bearer in line:
                line.remove(bearer)

    def nudge(self) -> None:
        """Whoever is first in a line and could have a place is told."""
        for (limit, key), line in self.lines.items():
            if line and len(self.holders[limit, key]) < self.most[limit, key]:
                line[0].front.told.send(line[0].front.turn, limit, key)

    # -- what fronts say -----------------------------------------------------------------------------------------

    def release(self, bearer: Bearer) -> None:
        self._gone(bearer)
        self.nudge()

    def leaves(self, bearer: Bearer) -> None:
        self._leave(bearer)
        self.nudge()

    def refund(self, demand: Tokens) -> None:
        key, now = (demand.limit, demand.key), self.loop.time()
        if key in self.full_at:
            self.full_at[key] = bucket.give_back(self.full_at[key], demand.rate, now)

    def bury(self, front: Process) -> None:
        """A process is gone, and with it all it had."""
        front.dead = True
        for table in (self.holders, self.lines):
            for bearers in table.values():
                bearers[:] = [one for one in bearers if one.front is not front]
        self.nudge()
