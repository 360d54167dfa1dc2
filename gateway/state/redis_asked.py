"""What a route demands of its calls, made ready to be asked of a Redis server, and what comes of the answers: the way
of every limited call.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from gateway.state.mirror import Alone, Lent
from gateway.state.redis_desk import Pending
from gateway.state.store import Capped, Demand, Denied, Keys, Metered, Place, Taken, Tokens

if TYPE_CHECKING:
    import asyncio

    from gateway.call import Call
    from gateway.state.redis import RedisStore


class RedisAsked:
    """An `Asked`. What is told to clients is read from the mirror: it is as old as the call's own answer."""

    __slots__ = ("_alone", "_caps", "_rates", "_store", "levels")

    def __init__(self, store: RedisStore, rates: Sequence[Metered], caps: Sequence[Capped]) -> None:
        self._store = store
        self._rates = tuple(rates)
        self._caps = tuple(caps)
        self._alone = Alone(store.mirror, rates, caps, store.parts, store.marks)
        self.levels = store.mirror.memory.prepare(rates, ()).levels

    def take(self, call: Call, now: float, yields: Call | None = None) -> Taken | asyncio.Future[Taken]:
        store = self._store
        if not store.breaker.closed:
            return self.decide(call, now, yields)
        pending = Pending(self, call, yields, store.loop.create_future())
        keys: Keys = ()
        for rate in self._rates:
            key = rate.payer(call)
            keys += (key,)
            if key is not None:
                pending.tokens.append((store.names[rate.limit, key], rate.rate.interval, rate.rate.burst))
        pending.keys = keys
        if self._caps:
            pending.places = self._places(call)
            pending.marks = store.marks(pending.places)
        if not pending.tokens and not pending.places:
            call.charges += keys
            call.charged = True
            return None
        self.ask(pending)
        return pending.answer

    def _places(self, call: Call) -> list[Place]:
        who = call.poller
        return [cap.place(key, who) for cap in self._caps if (key := cap.payer(call)) is not None]

    def ask(self, pending: Pending) -> None:
        """All that is demanded, in words of decide.lua."""
        store, call = self._store, pending.call
        places = [
            (name, place.max, line, who, place.grace)
            for (name, who, line), place in zip(pending.marks, pending.places, strict=True)
        ]
        by, older = "", 0
        if places:
            pending.number = store.number(call)
            by = call.id
            if pending.yields is not None:
                older = number_of(pending.yields)
        store.desk.take(pending, ("take", pending.number, by, older, _can_end(call), pending.tokens, places))

    def granted(self, pending: Pending, owed: Sequence[float], now: float) -> None:
        """The call has what it demands: that is written on it, and then told."""
        store, call = self._store, pending.call
        seconds = iter(owed)
        for rate, key in zip(self._rates, pending.keys, strict=True):
            if key is not None:
                store.mirror.memory.learn(rate.limit, key, now + next(seconds), now)
        if pending.places:
            store.mirror.lend(call, pending.number, pending.places, True, pending.marks)
        call.charges += pending.keys
        call.charged = True
        pending.answer.set_result(None)

    def denied(self, pending: Pending, answer: Sequence[Any], now: float) -> None:
        kind, which, seconds, last = answer
        if kind == 0:
            tokens = [Tokens(rate.limit, key, rate.rate) for rate, key in zip(self._rates, pending.keys, strict=True)
                      if key is not None][which - 1]  # fmt: skip
            self._store.mirror.memory.learn(tokens.limit, tokens.key, now + last, now)
            pending.answer.set_result(Denied(tokens, seconds))
        else:
            pending.answer.set_result(Denied(pending.places[which - 1], seconds, None, bool(last)))

    def decide(self, call: Call, now: float, yields: Call | None = None) -> Taken:
        """Without the server, as the configuration says."""
        store = self._store
        decided = store.condition.decisions
        if store.on_failure == "local":
            decided["alone"] += 1
            return self._alone.take(call, now, yields)
        if store.on_failure == "closed":
            demand = self._first(call)
            if demand is None:
                return None
            decided["refused"] += 1
            return Denied(demand, 1.0, failed=True)
        decided["open"] += 1
        call.charges += tuple([rate.payer(call) for rate in self._rates])
        places = self._places(call)
        if places:
            store.mirror.lend(call, store.mirror.number(), places, False, store.marks(places))
        return None

    def _first(self, call: Call) -> Demand | None:
        for rate in self._rates:
            key = rate.payer(call)
            if key is not None:
                return Tokens(rate.limit, key, rate.rate)
        return next(iter(self._places(call)), None)


def number_of(call: Call) -> int:
    """Under which it holds its places; 0 for none."""
    return next((lease.number for lease in call.leases if isinstance(lease, Lent)), 0)


def _can_end(call: Call) -> bool:
    """Whether it will ever be `evictable`: who ends it looks again."""
    hold = call.hold
    return call.blank is not None or call.upgrade is not None or (hold is not None and hold.tells_apart)
