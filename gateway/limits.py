"""What a call takes of the store on its way in, all at once or nothing, and what it gets back at its end. Makes room
where a cap may, and puts the call in line where a limit lets it wait; `serve` carries out what is decided here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

from gateway import refusals, verdicts
from gateway.asking import Asking
from gateway.demands import demands_of, denial, evict, release
from gateway.holds import budget
from gateway.outcome import Outcome
from gateway.pipeline import Refusal, Reply
from gateway.pollers import Kept, Pollers
from gateway.ramp import Early
from gateway.state.store import Demand, Denied, Place, Store, Taken, Tokens
from gateway.waiting import TURN, Lines, Spot

if TYPE_CHECKING:
    from gateway.call import Call
    from gateway.clock import Timers
    from gateway.plan import Plan
    from gateway.policies.caps import Cap
    from gateway.policies.rate_limit import RateLimit

Rule = TypeVar("Rule", "RateLimit", "Cap")

_UNSERVED = (Outcome.OVERLOADED, Outcome.CAPPED, Outcome.RATE_LIMITED, Outcome.CONFLICT)


class Limits:
    """The limits of all calls, in the store and in line for it; and who polls, where a dialect has a rule for that."""

    __slots__ = ("_lines", "_renewed", "_rules", "_store", "_timers", "pollers")

    def __init__(self, loop: asyncio.AbstractEventLoop, timers: Timers, store: Store) -> None:
        self._timers = timers
        self._store = store
        self._lines = Lines(loop, timers, store.leaves)
        self.pollers = Pollers(loop, timers)
        self._rules: Mapping[str, RateLimit | Cap] = {}  # as they are configured now
        self._renewed: dict[int, tuple[Plan, Plan]] = {}  # by the identity of the first
        store.watch(self._lines.freed, evict)

    @property
    def waiting(self) -> int:
        """Lines in which calls wait."""
        return len(self._lines)

    def in_line(self, limit: str, key: str) -> int:
        """Calls that wait under one limit and key."""
        return self._lines.waiting(limit, key)

    def renew(self, rules: Mapping[str, RateLimit | Cap]) -> None:
        """Other rules, by what the store counts under. Who stands in line follows them too: he holds nothing yet, and
        would keep the old rule alive for all who stand behind him."""
        self._rules, self._renewed = rules, {}
        self._lines.wake()

    def _renew(self, plan: Plan) -> Plan:
        """With its rates and caps as they are now."""
        if id(plan) not in self._renewed:
            rates = tuple([self._rule(rate) for rate in plan.rates])
            caps = tuple([self._rule(cap) for cap in plan.caps])
            asked = self._store.prepare(rates, caps)
            self._renewed[id(plan)] = (plan, replace(plan, rates=rates, caps=caps, asked=asked))
        return self._renewed[id(plan)][1]

    def _rule(self, rule: Rule) -> Rule:
        found = self._rules.get(rule.limit)
        return found if isinstance(found, type(rule)) else rule

    def take(self, call: Call, plan: Plan) -> Refusal | Spot | Asking | None:
        """Everything the plan demands of the call, or nothing: a Refusal, the Spot at which it shall wait, or an Asking
        where the store has yet to say: then `serve.on_turn` follows, and `told`."""
        asking = plan if call.up is None else self._renew(plan)  # in line meanwhile the rules may have changed
        assert asking.asked is not None
        now = self._timers.now()
        ahead = self._ahead(call, asking) if self._lines.open else None
        if ahead is not None:
            return self._wait(call, plan, demands_of(asking, call), Denied(ahead, self._turn_in(ahead, now)), now)
        if self._store.orders:
            yields = self.pollers.giving_way(call, plan.upstream.name)
            taken = asking.asked.take(call, now, yields)
            if isinstance(taken, asyncio.Future):
                return self._ask(call, taken)
        else:
            taken = _now(asking.asked.take(call, now))
        return self._taken(call, plan, asking, taken, now) if taken is not None else None

    def _ask(self, call: Call, answer: asyncio.Future[Taken]) -> Asking:
        asking = Asking(call, answer, call.up if isinstance(call.up, Spot) else None)
        answer.add_done_callback(lambda _: self._said(asking))
        return asking

    def _said(self, asking: Asking) -> None:
        """The store has spoken: the call goes on, or is over and gives back what it was lent for nothing."""
        call = asking.call
        if call.up is asking:
            call.serve.on_turn(call)
            return
        release(call)
        if call.charged and call.plan is not None:
            self.refund(call, call.plan, Outcome.OVERLOADED)

    def told(self, call: Call, plan: Plan, asking: Asking) -> Refusal | Spot | Asking | None:
        """What comes of what the store said."""
        taken = asking.answer.result()
        if taken is not None and asking.again:
            call.up = asking.spot
            return self.take(call, plan)
        call.up = asking.spot
        return self._taken(call, plan, self._renew(plan), taken, self._timers.now()) if taken is not None else None

    def _taken(self, call: Call, plan: Plan, asking: Plan, denied: Denied, now: float) -> Refusal | Spot | None:
        if denied.failed:
            return refusals.NO_STATE
        room = self._make_room(call, asking, denied, now)
        return self._wait(call, plan, demands_of(asking, call), room, now) if room is not None else None

    def _ahead(self, call: Call, plan: Plan) -> Demand | None:
        """The first demand for which others wait already. They do not wait for the place of an older poll of the same
        poller: that one hands it on, and nobody is passed by."""
        yields = self.pollers.giving_way(call, plan.upstream.name)
        demands = demands_of(plan, call)
        if self._store.orders:  # it knows who else is ahead, in other processes
            demands = [one for one in demands if isinstance(one, Tokens)]
        elif yields is not None:
            demands = [one for one in demands if not (isinstance(one, Place) and self._store.holds(one, yields))]
        return self._lines.ahead(demands, call)

    def _make_room(self, call: Call, plan: Plan, denied: Denied, now: float) -> Denied | None:
        """Each cap may make room by ending its oldest poll, and an older poll of the same poller makes room by giving
        way. Who is ended loses its place at once but is told last: a poll it has sent ahead must not take it back."""
        assert plan.asked is not None
        if self._store.orders:
            return denied
        victims: list[Call] = []
        yields = self.pollers.giving_way(call, plan.upstream.name) if isinstance(denied.demand, Place) else None
        room = _now(plan.asked.take(call, now, yields)) if yields is not None else denied
        while room is not None and room.victim is not None and len(victims) < len(plan.caps):
            assert isinstance(room.demand, Place)
            victims.append(room.victim)
            if room.victim is not yields:
                self._store.evicted(room.demand, room.victim.poller, now)
            release(room.victim)
            room = _now(plan.asked.take(call, now, yields))
        for victim in victims:
            if victim is yields:
                self.pollers.supersede(victim, call)
            else:
                evict(victim, call.id)
        return room

    def _turn_in(self, demand: Demand, now: float) -> float:
        """Seconds until it is the turn of who joins the line for that now."""
        if not isinstance(demand, Tokens):
            return TURN
        left, reset = self._store.level(demand, now)
        return max(reset + (self._lines.waiting(demand.limit, demand.key) - left) * demand.rate.interval, 0.0)

    def _wait(self, call: Call, plan: Plan, demands: list[Demand], denied: Denied, now: float) -> Refusal | Spot:
        """A spot in the line for what was denied, if its rule has one and the call has time left for it."""
        patience = self._patience(call, plan, denied.demand, now)
        if patience is None:
            return denial(call, denied)
        spot = self._lines.stays(call, denied)
        if spot is not None:
            return spot
        hopeless = self._hopeless(call, plan, demands, now)
        if hopeless is None:
            kept = self._store.orders and isinstance(denied.demand, Place)  # then the store says who waits
            joined = self._lines.join(call, denied, *patience) if denied.queued or not kept else None
            if joined is not None:
                return joined
        self._store.leaves(call)
        return denial(call, hopeless or denied)

    def _patience(self, call: Call, plan: Plan, demand: Demand, now: float) -> tuple[float, int | None] | None:
        """Until when the call may wait for that, and in how long a line; None where nobody waits."""
        for rate in plan.rates:
            if rate.limit == demand.limit:
                return (_until(call, plan, now), None) if rate.delay and call.hold is not None else None
        for cap in plan.caps:
            if cap.limit == demand.limit:
                return (_until(call, plan, now), cap.max_waiting) if cap.max_waiting else None
        return None

    def _hopeless(self, call: Call, plan: Plan, demands: list[Demand], now: float) -> Denied | None:
        """What refuses the call outright: then it does not take up a spot in the line for something else first."""
        for demand in demands:
            if self._patience(call, plan, demand, now) is not None:
                continue
            if isinstance(demand, Tokens):
                level = self._store.level(demand, now)
                if not level.left:
                    return Denied(demand, level.reset)
            elif not demand.evict and self._store.held(demand.limit, demand.key) >= demand.max:
                return Denied(demand, 1.0)
        return None

    def too_late(self, call: Call) -> bool:
        """Whether a poll that waited has too little of its hold left to be forwarded: it must not pay for that."""
        hold, now = call.hold, self._timers.now()
        return hold is not None and budget.wait_left(hold, call.granted or 0.0, call.deadline, now) is None

    def in_vain(self, call: Call) -> Refusal | Reply:
        """What a call is told whose time ran out while it waited, where we may not say "no news"."""
        if isinstance(call.up, (Kept, Early)):
            return call.up.in_vain()
        assert isinstance(call.up, Spot)
        return denial(call, Denied(call.up.demand, TURN))

    def refund(self, call: Call, plan: Plan, outcome: Outcome | None) -> None:
        """What a call gets back that ends so: everything when it was not served after all, and what an empty poll that
        was held for its whole time may get."""
        if outcome in _UNSERVED:
            whole = True
        elif call.hold is not None and verdicts.is_idle(call, outcome):
            whole = False
        else:
            return
        call.charged = False
        now = self._timers.now()
        for rate, key in zip(plan.shown.limits if plan.shown else (), call.charges, strict=False):
            if key is not None and (whole or rate.refund_empty):
                self._store.give_back(Tokens(rate.limit, key, rate.rate), now)


def _now(taken: Taken | asyncio.Future[Taken]) -> Taken:
    """What a store says that has nobody to ask."""
    assert not isinstance(taken, asyncio.Future)
    return taken


def _until(call: Call, plan: Plan, now: float) -> float:
    """A poll waits out of its own hold, an ordinary call as long as its answer may take."""
    if call.hold is None:
        return now + plan.response_timeout
    return budget.last_start(call.hold, call.granted or 0.0, call.deadline)
