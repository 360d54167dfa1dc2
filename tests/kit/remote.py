"""The store of one process, for tests of those who ask it: it asks an `Authority`, and knows what it was told."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Sequence
from typing import Any

from gateway.call import Call, Lease
from gateway.state.bucket import FULL, Level
from gateway.state.memory import MemoryStore
from gateway.state.store import Capped, Keys, Metered, Place, Taken, Tokens

from .authority import Ask, Authority, Bearer, Channel, Key

PATIENCE = 0.25  # seconds for the process of who loses a place to say that it has ended


class Lent(Lease):
    def __init__(self, front: Front, bearer: Bearer, local: tuple[Lease, ...]) -> None:
        self.bearer = bearer
        self.front = front
        self.local = local

    def release(self) -> None:
        local, self.local = self.local, ()
        for lease in local:
            lease.release()
        if self.front.lent.pop(self.bearer.call, None) is not None:
            self.front.forget(self.bearer)
            self.front.say(self.front.authority.release, self.bearer)


class Front:
    """The store of one process."""

    orders = True

    def __init__(self, authority: Authority, name: str) -> None:
        self.authority = authority
        self.name = name
        self.dead = False
        self.memory = MemoryStore()
        self.lent: dict[Call, Lent] = {}
        self.bearers: dict[Call, Bearer] = {}
        loop, words = authority.loop, authority.words
        self.asks = Channel(loop, authority.delay or words)
        self.answers = Channel(loop, authority.delay or words)
        self.told = Channel(loop, words)
        self.says = Channel(loop, words)
        self.channels = (self.asks, self.answers, self.told, self.says)
        self._freed: Callable[[str, str], None] = lambda *_: None
        self._ends: Callable[[Call, str], None] = lambda *_: None

    # -- asks ----------------------------------------------------------------------------------------------------

    def prepare(self, rates: Sequence[Metered], caps: Sequence[Capped]) -> Ready:
        return Ready(self, rates, caps)

    def take(self, ask: Ask) -> Taken | asyncio.Future[Taken]:
        ask.bearer.unheard += 1
        answer: asyncio.Future[Taken] = self.authority.loop.create_future()
        if self.authority.delay is not None:
            self.asks.send(self._decided, ask, answer)
            return answer
        self._decided(ask, answer)
        return answer.result() if answer.done() else answer

    def _decided(self, ask: Ask, answer: asyncio.Future[Taken]) -> None:
        """At the authority."""
        if self.dead:
            return
        denied, victims = self.authority.decide(ask)
        theirs = [one for one in victims if one.front is not self and one is not ask.yields]
        ours = [one for one in victims if one.front is self]
        if not theirs:
            self._answer(ask, answer, denied, ours)
            return
        unconfirmed = set(theirs)
        late = self.authority.loop.call_later(PATIENCE, self._answer, ask, answer, denied, ours)

        def confirmed(victim: Bearer) -> None:
            unconfirmed.discard(victim)
            if not unconfirmed and not late.cancelled():
                late.cancel()
                self._answer(ask, answer, denied, ours)

        for victim in theirs:
            victim.front.told.send(victim.front.end, victim, ask.bearer.call.id, confirmed)

    def _answer(self, ask: Ask, answer: asyncio.Future[Taken], denied: Taken, ours: list[Bearer]) -> None:
        if answer.done() or self.dead:
            return
        full = {(one.limit, one.key): self.authority.full_at.get((one.limit, one.key), FULL) for one in ask.tokens}
        if self.authority.delay is None:
            self._answered(ask, answer, denied, ours, full)
        else:
            self.answers.send(self._answered, ask, answer, denied, ours, full)

    def _answered(self, ask: Ask, answer: asyncio.Future[Taken], denied: Taken, ours: list[Bearer],
                  full: dict[Key, float]) -> None:  # fmt: skip
        """In the process that asked."""
        if self.dead:
            return
        call, now, me = ask.bearer.call, self.authority.loop.time(), ask.bearer
        me.unheard -= 1
        for (limit, key), full_at in full.items():
            self.memory.learn(limit, key, full_at, now)
        me.queued = denied is not None and (denied.queued or me.queued)
        if denied is None:
            self.lent[call] = Lent(self, me, self.memory.lend(ask.places, call))
            call.leases += (self.lent[call],)
            call.charges += ask.keys
            call.charged = True
            if me.lost:
                self._lose(me)
        self.forget(me)
        answer.set_result(denied)
        for victim in ours:
            self._lose(victim)
            if victim is not ask.yields:
                self._ends(victim.call, call.id)

    def bearer(self, call: Call) -> Bearer:
        known = self.bearers.get(call)
        if known is None:
            hold = call.hold
            endable = call.blank is not None or (hold is not None and hold.tells_apart)
            known = self.bearers[call] = Bearer(self, call, call.poller, endable)
        return known

    def forget(self, bearer: Bearer) -> None:
        if not bearer.unheard and not bearer.queued and bearer.call not in self.lent:
            self.bearers.pop(bearer.call, None)

    # -- words ---------------------------------------------------------------------------------------------------

    def turn(self, limit: str, key: str) -> None:
        if not self.dead:
            self._freed(limit, key)

    def end(self, bearer: Bearer, by: str, confirmed: Callable[[Bearer], None]) -> None:
        if self.dead:
            return
        self._lose(bearer)
        self._ends(bearer.call, by)
        self.says.send(self._heard, confirmed, bearer)

    def _lose(self, bearer: Bearer) -> None:
        lent = self.lent.pop(bearer.call, None)
        if lent is not None:
            lent.release()
            self.forget(bearer)

    def say(self, act: Callable[..., None], *what: Any) -> None:
        """To the authority, in order with what is asked."""
        if self.authority.delay is None:
            act(*what)
        else:
            self.asks.send(self._heard, act, *what)

    def _heard(self, act: Callable[..., None], *what: Any) -> None:
        if not self.dead:
            act(*what)

    # -- the rest of a store -------------------------------------------------------------------------------------

    def leaves(self, call: Call) -> None:
        bearer = self.bearers.get(call)
        if bearer is not None and bearer.queued:
            bearer.queued = False
            self.forget(bearer)
            self.say(self.authority.leaves, bearer)

    def give_back(self, demand: Tokens, now: float) -> None:
        self.say(self.authority.refund, demand)
        self.memory.give_back(demand, now)

    def level(self, demand: Tokens, now: float) -> Level:
        return self.memory.level(demand, now)

    def evicted(self, demand: Place, who: str, now: float) -> None:
        raise AssertionError("this store makes room itself")

    def held(self, limit: str, key: str) -> int:
        return self.memory.held(limit, key)

    def holds(self, demand: Place, call: Call) -> bool:
        return self.memory.holds(demand, call)

    def retain(self, limits: Collection[str]) -> None:
        self.memory.retain(limits)

    def keys(self, limit: str) -> int:
        return self.memory.keys(limit)

    def newest(self, limit: str, most: int) -> Sequence[str]:
        return self.memory.newest(limit, most)

    def watch(self, freed: Callable[[str, str], None], ends: Callable[[Call, str], None]) -> None:
        self._freed, self._ends = freed, ends
        self.memory.watch(freed)


class Ready:
    """What a route demands, made ready."""

    def __init__(self, front: Front, rates: Sequence[Metered], caps: Sequence[Capped]) -> None:
        self._front = front
        self._rates = rates
        self._caps = caps
        self._local = front.memory.prepare(rates, ())

    def take(self, call: Call, now: float, yields: Call | None = None) -> Taken | asyncio.Future[Taken]:
        keys = tuple([rate.payer(call) for rate in self._rates])
        tokens = [
            Tokens(rate.limit, key, rate.rate) for rate, key in zip(self._rates, keys, strict=True) if key is not None
        ]
        places = [cap.place(key, call.poller) for cap in self._caps if (key := cap.payer(call)) is not None]
        older = self._front.bearers.get(yields) if yields is not None else None
        return self._front.take(Ask(self._front.bearer(call), keys, tokens, places, older))

    def levels(self, keys: Keys, now: float, since: float) -> tuple[int, ...]:
        return self._local.levels(keys, now, since)
