"""Rules for a second poll under everything at once, in any order: answers, answers that begin early, lost connections,
hang-ups that are told late, ends by the operator, of tokens and of time, caps and rates, reloads, a drain. Whatever
happened, no session has two polls at the upstream that may not be there together, nobody waits for what is over, and
nothing is left behind.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from gateway import verdicts
from gateway.call import Call, State
from gateway.identity.claims import Identity
from gateway.outcome import Outcome
from gateway.policies.caps import compile_cap
from gateway.policies.rate_limit import compile_rate_limit
from gateway.pollers import Kept
from gateway.routing import Router, Rule
from gateway.upstream import failure
from gateway.upstream.repeat import Pause
from tests.kit.crowd import Caller, Crowd
from tests.kit.heads import response
from tests.kit.holds import hold_plan
from tests.kit.pollers import FATAL, LOSER, NEWEST, OLDEST, TEMPLATE
from tests.kit.serving import WALL

RULES = ("many", NEWEST, OLDEST, FATAL)
SIDS = st.sampled_from(["x", "y", "z", None])
WHO = st.sampled_from(["a", "b", "brief"])
REPOLL = 3.0
RATES = (compile_rate_limit("slow", "slow", (1.0, 0.5), 3, "address", {}, True, delay=True),)
CAPS = (
    compile_cap("tabs", True, 2, "address", {}, evict=True, grace=2.0),
    compile_cap("polls", True, 3, "route", {}, max_waiting=2),
    compile_cap("one", True, 1, "address", {}),
)
SCENES: list[tuple[str, ...]] = [(), ("tabs",), ("polls",), ("one",), ("slow", "tabs", "polls")]
EMPTY = {Outcome.EMPTY, Outcome.BLANK, Outcome.OVERRUN}


def signed_in(crowd: Crowd) -> Callable[[Call], None]:
    def step(call: Call) -> None:
        ends = WALL + crowd.loop.now + 6.0 if call.peer == "brief" else None
        call.identity = Identity("main", call.peer, ends)

    return step


class Sessions(Crowd):
    """Checks what reaches the upstream at the moment at which it does."""

    def __init__(self, concurrency: str, limits: tuple[str, ...], **values: Any) -> None:
        self.rested: dict[tuple[str, str], float] = {}
        self.mixed = False  # a reload has changed the rule: polls of two rules are under way
        hold = hold_plan(key=lambda asked: asked.arg("sid"), concurrency=concurrency, loser=LOSER, **values)
        rates = tuple(rate for rate in RATES if rate.limit in limits)
        super().__init__(rates, tuple(cap for cap in CAPS if cap.limit in limits), hold=hold)
        self.rule(concurrency)

    def rule(self, concurrency: str) -> None:
        """A reload, which may bring another rule."""
        plan = self.plans["/updates"]
        assert plan.hold is not None
        plan = self.plans["/updates"] = replace(
            plan, hold=replace(plan.hold, concurrency=concurrency), steps=(signed_in(self),), bound_to_token=True
        )
        router = Router([(Rule(None, path, ()), each) for path, each in self.plans.items()])
        self.serve.snapshot = replace(self.serve.snapshot, router=router)

    def on_sent(self, call: Call, raw: bytes) -> None:
        first = call not in self.sent
        super().on_sent(call, raw)
        key = name(call)
        if key is None or call.hold is None:
            return
        if first and call.hold.min_repoll:
            assert self.loop.now >= self.rested.get(key, 0.0), "it came too soon"
        if call.hold.concurrency != "many" and not self.mixed:
            there = [one for one in self.there() if one is not call and name(one) == key]
            if call.hold.concurrency == NEWEST:
                there = [one for one in there if not passes(one)]
            assert not there, "two polls of one session at the upstream"

    def there(self) -> list[Call]:
        return [call for call in dict.fromkeys(self.sent) if call.state is not State.SETTLED]

    def on_settled(self, call: Call) -> None:
        super().on_settled(call)
        key = name(call)
        if key is not None and call.outcome in EMPTY:
            self.rested[key] = self.loop.now + REPOLL


def name(call: Call) -> tuple[str, str] | None:
    return (call.peer, call.key) if call.key is not None else None


def passes(call: Call) -> bool:
    return call.state is State.RELAYING and not verdicts.only_held(call)


class PollersMachine(RuleBasedStateMachine):
    crowd: Sessions
    drained = False

    @initialize(
        concurrency=st.sampled_from(RULES), limits=st.sampled_from(SCENES), min_repoll=st.sampled_from([0.0, REPOLL]),
        early=st.booleans(), answer=st.sampled_from(["template", "origin", "never"]),
    )  # fmt: skip
    def begin(self, concurrency: str, limits: tuple[str, ...], min_repoll: float, early: bool, answer: str) -> None:
        template = TEMPLATE if answer == "template" else None
        self.crowd = Sessions(
            concurrency, limits, min_repoll=min_repoll, early_headers=early, answer=answer, template=template
        )

    def some(self, *states: State) -> list[Caller]:
        return [one for one in self.crowd.callers if one.call.state in states]

    def connected(self) -> list[Caller]:
        return [one for one in self.some(State.PARKED, State.RELAYING) if not isinstance(one.call.up, Pause)]

    @property
    def alive(self) -> list[Caller]:
        return [one for one in self.crowd.callers if not one.over]

    @rule(sid=SIDS, who=WHO, timeout=st.sampled_from([2.0, 10.0, 30.0]), number=st.integers(1, 4))
    def poll(self, sid: str | None, who: str, timeout: float, number: int) -> None:
        for _ in range(number):
            self.crowd.call(who, f"/updates?timeout={timeout:g}" + (f"&sid={sid}" if sid is not None else ""))

    @precondition(lambda self: self.some(State.PARKED))
    @rule(data=st.data(), body=st.sampled_from([b"[1]", b"", b"oops"]))
    def answer(self, data: st.DataObject, body: bytes) -> None:
        caller = data.draw(st.sampled_from(self.some(State.PARKED)))
        caller.answered(body, {b"": 204, b"oops": 500}.get(body, 200))

    @precondition(lambda self: self.some(State.PARKED))
    @rule(data=st.data(), size=st.sampled_from([1, 5000]))
    def begin_to_answer(self, data: st.DataObject, size: int) -> None:
        call = data.draw(st.sampled_from(self.some(State.PARKED))).call
        self.crowd.serve.on_head(call, response(200, {}, 20_000), b"x" * size, False)

    @precondition(lambda self: self.some(State.RELAYING))
    @rule(data=st.data(), ends=st.booleans())
    def go_on_answering(self, data: st.DataObject, ends: bool) -> None:
        call = data.draw(st.sampled_from(self.some(State.RELAYING))).call
        self.crowd.serve.on_body(call, b"\n")
        if ends:
            call.up = None
            self.crowd.serve.on_end(call)

    @precondition(lambda self: self.connected())
    @rule(data=st.data())
    def lose_the_connection(self, data: st.DataObject) -> None:
        call = data.draw(st.sampled_from(self.connected())).call
        call.up = None
        self.crowd.serve.on_failure(call, failure.RESET, "reset")

    @precondition(lambda self: self.alive)
    @rule(data=st.data(), late=st.booleans(), again=st.booleans())
    def hang_up(self, data: st.DataObject, late: bool, again: bool) -> None:
        """And come back in the same moment."""
        caller = data.draw(st.sampled_from(self.alive))
        if late:
            self.crowd.loop.call_soon(caller.leave)
        else:
            caller.leave()
        if again:
            self.crowd.call(caller.who, f"/updates?{caller.call.query}")

    @precondition(lambda self: self.alive)
    @rule(data=st.data(), how=st.sampled_from(["on_evict", "on_revoked"]))
    def end(self, data: st.DataObject, how: str) -> None:
        caller = data.draw(st.sampled_from(self.alive))
        getattr(caller.serve, how)(caller.call)

    @rule(concurrency=st.none() | st.sampled_from(RULES))
    def reload(self, concurrency: str | None) -> None:
        crowd = self.crowd
        assert crowd.plans["/updates"].hold is not None
        now = crowd.plans["/updates"].hold.concurrency
        crowd.mixed = crowd.mixed or concurrency not in (None, now)
        crowd.rule(concurrency or now)
        crowd.limits.renew({one.limit: one for one in (*RATES, *CAPS)})

    @precondition(lambda self: not self.drained and len(self.crowd.callers) > 15)
    @rule(window=st.sampled_from([1.0, 8.0]))
    def drain(self, window: float) -> None:
        self.drained = True
        self.crowd.drain(window)

    @rule(turns=st.integers(1, 3))
    def turn(self, turns: int) -> None:
        self.crowd.loop.turns(turns)

    @rule(seconds=st.sampled_from([0.01, 1.0, 4.0, 20.0]))
    def pass_time(self, seconds: float) -> None:
        self.crowd.loop.advance(seconds)

    @invariant()
    def who_is_kept_back_waits_for_something(self) -> None:
        pollers = self.crowd.limits.pollers
        for caller in self.some(State.WAITING):
            kept = caller.call.up
            if isinstance(kept, Kept) and kept.seat is not None:
                assert kept.seat.behind is kept and pollers._seats[kept.seat.key] is kept.seat

    @rule()
    def at_rest(self) -> None:
        """When the loop has turned, seats are those of polls that are there, and nobody waits for what is over."""
        self.crowd.loop.turns(40)
        pollers, now = self.crowd.limits.pollers, self.crowd.loop.now
        assert all(seat.call.state is not State.SETTLED for seat in pollers._seats.values())
        for caller in self.some(State.WAITING):
            kept = caller.call.up
            if isinstance(kept, Kept):
                assert (kept.seat is not None and kept.seat.call.state is not State.SETTLED) or kept.until > now - 1
        assert not self.crowd.loop.errors

    def teardown(self) -> None:
        crowd = self.crowd
        crowd.loop.turns(40)
        for _ in range(30):
            for caller in self.some(State.RELAYING):
                caller.leave()
            crowd.loop.advance(60.0)
            for caller in self.some(State.PARKED):
                caller.answered()
        crowd.loop.turns(3)
        assert all(one.over and one.call.leases == () for one in crowd.callers)
        assert all(one.conn.log.count(("settled",)) == 1 for one in crowd.callers)
        assert len(crowd.records) == len(crowd.callers)
        assert len(crowd.limits.pollers) == 0 and not crowd.limits.waiting and not crowd.upstream.held
        assert not any(crowd.store._holders.values()) and not asyncio.all_tasks(crowd.loop)
        assert not crowd.loop.errors
        crowd.loop.close()


TestPollers = PollersMachine.TestCase
TestPollers.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
