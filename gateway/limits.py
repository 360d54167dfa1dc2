"""What a call takes of the store on its way in, all at once or nothing, and what it gets back at its end. Makes room
where a cap may, and puts the call in line where a limit lets it wait; `serve` carries out what is decided here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from gateway import refusals, verdicts
from gateway.asking import Asking
from gateway.demands import demands_of, denial, evict, paid, release, take
from gateway.holds import budget
from gateway.outcome import ANSWERED, NEWS, Outcome
from gateway.pipeline import Refusal, Reply
from gateway.pollers import Kept, Pollers
from gateway.ramp import Early
from gateway.rules import Rules
from gateway.state.store import Demand, Denied, Place, Store, Taken, Tokens
from gateway.waiting import TURN, Lines, Spot

if TYPE_CHECKING:
    from gateway.call import Call
    from gateway.clock import Timers
    from gateway.plan import Plan
    from gateway.policies.caps import Cap
    from gateway.policies.rate_limit import RateLimit

_UNSERVED: Final = (Outcome.OVERLOADED, Outcome.CAPPED, Outcome.RATE_LIMITED, Outcome.CONFLICT)


class Limits:
    """The limits of all calls, in the store and in line for it; and who polls, where a dialect has a rule for that."""

    __slots__ = ("_lines", "_orders", "_rules", "_store", "_timers", "heard", "pollers")

    def __init__(self, loop: asyncio.AbstractEventLoop, timers: Timers, store: Store) -> None:
        self._timers = timers
        self._store = store
        self._orders = store.orders
        self._lines = Lines(loop, timers, store.leaves if store.orders else None)
        self.heard = 0  # how often a store elsewhere told us that something is free
        self.pollers = Pollers(loop, timers)
        self._rules = Rules(store)
        store.watch(self._free if store.orders else self._lines.freed, evict)

    def _free(self, limit: str, key: str) -> None:
        self.heard += 1
        self._lines.freed(limit, key)

    @property
    def waiting(self) -> int:
        """Lines in which calls wait."""
        return len(self._lines)

    def in_line(self, limit: str, key: str) -> int:
        """Calls that wait under one limit and key."""
        return self._lines.waiting(limit, key)

    def renew(self, rules: Mapping[str, RateLimit | Cap]) -> None:
        """Other rules, by what the store counts under. Who stands in line follows them too."""
        self._rules.renew(rules)
        self._lines.wake()

    def take(self, call: Call, plan: Plan) -> Refusal | Spot | Asking | None:
        """Everything the plan demands of the call, or nothing: a Refusal, the Spot at which it shall wait, or an Asking
        where the store has yet to say: then `serve.on_turn` follows, and `told`."""
        now = self._timers.now()
        if call.up is None and not self._lines.open and not self._orders:  # as nearly always
            denied = take(plan, call, now)
            return self._denied(call, plan, plan, _now(denied), now) if denied is not None else None
        asking = plan if call.up is None else self._rules.now(plan)  # in line meanwhile the rules may have changed
        ahead = self._ahead(call, asking) if self._lines.open else None
        if ahead is not None:
            return self._wait(call, plan, asking, Denied(ahead, self._turn_in(ahead, now)), now)
        return self._take(call, plan, asking, now)

    def _take(self, call: Call, plan: Plan, asking: Plan, now: float) -> Refusal | Spot | Asking | None:
        yields = self.pollers.giving_way(call, plan.upstream.name) if self._orders else None
        taken = take(asking, call, now, yields)
        if taken is None:
            return None
        if not isinstance(taken, asyncio.Future):
            return self._denied(call, plan, asking, taken, now)
        until = call.deadline if call.hold is not None else min(now + plan.response_timeout, call.deadline)
        return Asking(self, call, taken, call.up if isinstance(call.up, Spot) else None, yields, until)

    def told(self, call: Call, plan: Plan, asking: Asking) -> Refusal | Spot | Asking | None:
        """What comes of what the store said, to a call that goes on."""
        call.up, denied, now, renewed = asking.spot, asking.answer.result(), self._timers.now(), self._rules.now(plan)
        if denied is None:
            return None
        if isinstance(denied.demand, Place) and not denied.failed:
            yields = self.pollers.giving_way(call, plan.upstream.name)
            if yields is not None and yields is not asking.yields:
                return self._take(call, plan, renewed, now)  # it was itself let in only now
        spot = self._denied(call, plan, renewed, denied, now)
        if isinstance(spot, Spot) and (asking.again or (asking.spot is None and asking.heard != self.heard)):
            self._lines.missed(spot)
        return spot

    def undo(self, asking: Asking) -> None:
        """A call that is over was lent this for nothing."""
        call, denied = asking.call, asking.answer.result()
        release(call)
        now = self._timers.now()
        for _, tokens in paid(call, call.plan, len(asking.charges)) if call.plan is not None else ():
            self._store.give_back(tokens, now)
        call.charges, call.charged = asking.charges, asking.charged
        if denied is not None:
            self._store.leaves(call)

    def in_passing(self, asking: Asking) -> None:
        """A call that was over before it knew had been let in: the older poll of its poller may have lost its place to
        it, and ends as if it had gone on."""
        call, older = asking.call, asking.yields
        if older is None or call.plan is None or asking.answer.result() is not None:
            return
        if self.pollers.giving_way(call, call.plan.upstream.name) is older:
            self.pollers.supersede(older, call)

    def _denied(self, call: Call, plan: Plan, asking: Plan, denied: Taken, now: float) -> Refusal | Spot | None:
        if denied is None:
            return None
        if denied.failed:
            return refusals.NO_STATE
        room = denied if self._orders else self._make_room(call, asking, denied, now)
        return self._wait(call, plan, asking, room, now) if room is not None else None

    def _ahead(self, call: Call, plan: Plan) -> Demand | None:
        """The first demand for which others wait already. They do not wait for the place of an older poll of the same
        poller: that one hands it on, and nobody is passed by."""
        yields = self.pollers.giving_way(call, plan.upstream.name)
        demands = demands_of(plan, call)
        if self._orders:  # it knows who else is ahead, in other processes
            demands = [one for one in demands if isinstance(one, Tokens)]
        elif yields is not None:
            demands = [one for one in demands if not (isinstance(one, Place) and self._store.holds(one, yields))]
        return self._lines.ahead(demands, call)

    def _make_room(self, call: Call, plan: Plan, denied: Denied, now: float) -> Denied | None:
        """Each cap may make room by ending its oldest poll, and an older poll of the same poller makes room by giving
        way. Who is ended loses its place at once but is told last: a poll it has sent ahead must not take it back."""
        victims: list[Call] = []
        yields = self.pollers.giving_way(call, plan.upstream.name) if isinstance(denied.demand, Place) else None
        room = _now(take(plan, call, now, yields)) if yields is not None else denied
        while room is not None and room.victim is not None and len(victims) < len(plan.caps):
            assert isinstance(room.demand, Place)
            victims.append(room.victim)
            if room.victim is not yields:
                self._store.evicted(room.demand, room.victim.poller, now)
            release(room.victim)
            room = _now(take(plan, call, now, yields))
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

    def _wait(self, call: Call, plan: Plan, asking: Plan, denied: Denied, now: float) -> Refusal | Spot:
        """A spot in the line for what was denied, if its rule has one and the call has time left for it."""
        kept = self._orders and isinstance(denied.demand, Place)  # then the store says who waits
        patience = self._patience(call, plan, denied.demand, now) if denied.queued or not kept else None
        spot, hopeless = None, None
        if patience is not None:
            spot = self._lines.stays(call, denied)
            hopeless = self._hopeless(call, plan, asking, now) if spot is None else None
            if spot is None and hopeless is None:
                spot = self._lines.join(call, denied, patience[0], patience[1] if not kept else None)
        if spot is None or not kept:
            self._store.leaves(call)
        return spot or denial(call, hopeless or denied)

    def _patience(self, call: Call, plan: Plan, demand: Demand, now: float) -> tuple[float, int | None] | None:
        """Until when the call may wait for that, and in how long a line; None where nobody waits."""
        for rate in plan.rates:
            if rate.limit == demand.limit:
                return (_until(call, plan, now), None) if rate.delay and call.hold is not None else None
        for cap in plan.caps:
            if cap.limit == demand.limit:
                return (_until(call, plan, now), cap.max_waiting) if cap.max_waiting else None
        return None

    def _hopeless(self, call: Call, plan: Plan, asking: Plan, now: float) -> Denied | None:
        """What refuses the call outright: then it does not take up a spot in the line for something else first."""
        for demand in demands_of(asking, call):
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
        """Whether a call that waited has too little time left to be forwarded: it must not pay for that."""
        hold, now = call.hold, self._timers.now()
        if hold is None:
            return now >= call.deadline
        return budget.wait_left(hold, call.granted or 0.0, call.deadline, now) is None

    def in_vain(self, call: Call) -> Refusal | Reply:
        """What a call is told whose time ran out while it waited, where we may not say "no news"."""
        if isinstance(call.up, (Kept, Early)):
            return call.up.in_vain()
        assert isinstance(call.up, Spot)
        return denial(call, Denied(call.up.demand, TURN))

    def refund(self, call: Call, plan: Plan, outcome: Outcome | None) -> None:
        """What a call gets back that ends so: everything when it was not served after all, and what an empty poll that
        was held for its whole time may get."""
        if outcome is NEWS or outcome is ANSWERED:  # as most end
            return
        if outcome in _UNSERVED:
            whole = True
        elif call.hold is not None and verdicts.is_idle(call, outcome):
            whole = False
        else:
            return
        call.charged = False
        now = self._timers.now()
        for rate, tokens in paid(call, plan):
            if whole or rate.refund_empty:
                self._store.give_back(tokens, now)


def _now(taken: Taken | asyncio.Future[Taken]) -> Taken:
    """What a store says that has nobody to ask."""
    assert not isinstance(taken, asyncio.Future)
    return taken


def _until(call: Call, plan: Plan, now: float) -> float:
    """A poll waits out of its own hold, an ordinary call as long as its answer may take."""
    if call.hold is None:
        return now + plan.response_timeout
    return budget.last_start(call.hold, call.granted or 0.0, call.deadline)
