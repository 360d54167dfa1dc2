"""Limits, lines and the life of calls under everything at once, in any order: polls and ordinary calls of several
consumers, answers, hang-ups, evictions, a drain, and time. Beside them a model that knows only what reached the
upstream and how calls ended; whatever happened, it and the store agree, nobody passed anybody, the ends meet exactly.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from fractions import Fraction
from itertools import count

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from gateway.call import Call
from gateway.outcome import Outcome
from gateway.policies.caps import compile_cap
from gateway.policies.rate_limit import RateLimit, compile_rate_limit
from gateway.state.bucket import SLACK
from gateway.state.store import Demand, Denied, Place, Tokens
from gateway.waiting import Lines, Spot
from tests.kit.crowd import Caller, Crowd

WHO = st.sampled_from(["a", "b", "c"])
RATES = (
    compile_rate_limit("own", "own", (1.0, 4.0), 2, "address", {}, True, delay=True),
    compile_rate_limit("all", "all", (1.0, 0.5), 3, "route", {}, False, delay=True),
    compile_rate_limit("hard", "hard", (1.0, 1.0), 6, "consumer", {}, False),
)
CAPS = (
    compile_cap("polls", True, 3, "route", {}, max_waiting=6),
    compile_cap("tabs", True, 2, "address", {}, evict=True, grace=5.0),
    compile_cap("calls", False, 2, "route", {}, max_waiting=3),
)
SCENES: list[tuple[str, ...]] = [
    ("own",), ("all", "hard"), ("polls", "calls"), ("own", "polls"), ("own", "tabs"), ("own", "all", "polls", "tabs"),
    ("own", "all", "hard", "polls", "tabs", "calls"),
]  # fmt: skip
MAX = {cap.limit: cap.max for cap in CAPS}
UNPAID = {Outcome.EMPTY, Outcome.BLANK, Outcome.OVERRUN, Outcome.DRAINED, Outcome.EXPIRED}
PASSED = "somebody who came later was served first"


class WatchedLines(Lines):
    """Keeps in which line a call was last, and in what order calls came to it."""

    def __init__(self, crowd: Crowd) -> None:
        super().__init__(crowd.loop, crowd.timers)
        self.last: dict[Call, tuple[tuple[str, str], int]] = {}
        self._number = count()

    def join(self, call: Call, denied: Denied, until: float, most: int | None) -> Spot | None:
        spot = super().join(call, denied, until, most)
        if spot is not None:
            self.last[call] = (key_of(denied.demand), next(self._number))
        return spot


def key_of(demand: Demand) -> tuple[str, str]:
    return demand.limit, demand.key


class Model:
    """Tokens as fractions and the calls at the upstream, from what can be seen there."""

    def __init__(self, crowd: Crowd) -> None:
        self.crowd = crowd
        self.tokens: dict[tuple[str, str], tuple[Fraction, Fraction]] = {}  # how many there were, and when
        self.sent: dict[Call, tuple[float, float | None]] = {}  # at the upstream: since when, asked to hold how long
        self.holders: dict[tuple[str, str], int] = {}
        self.passed: list[tuple[Call, Call]] = []

    def demands(self, call: Call, kind: type[Demand]) -> list[Demand]:
        plan = call.plan
        assert plan is not None
        found = [rule.demand(call) for rule in (*plan.rates, *plan.caps)]
        return [one for one in found if isinstance(one, kind)]

    def left(self, demand: Tokens) -> Fraction:
        now, full = Fraction(self.crowd.loop.now), Fraction(demand.rate.burst)
        tokens, since = self.tokens.get(key_of(demand), (full, now))
        return min(full, tokens + (now - since) / Fraction(demand.rate.interval))

    def add(self, demand: Tokens, tokens: int) -> None:
        now, full = Fraction(self.crowd.loop.now), Fraction(demand.rate.burst)
        self.tokens[key_of(demand)] = (min(full, self.left(demand) + tokens), now)

    def lacking(self, demand: Demand) -> bool:
        if isinstance(demand, Tokens):
            return self.left(demand) < 1 - Fraction(SLACK)
        return self.holders.get(key_of(demand), 0) >= demand.max

    def on_sent(self, call: Call, raw: bytes) -> None:
        demands = self.demands(call, Tokens | Place)  # type: ignore[arg-type]
        assert not [demand for demand in demands if self.lacking(demand)]
        wait = raw.partition(b"timeout=")[2].partition(b" ")[0]
        self.sent[call] = (self.crowd.loop.now, float(wait) if wait else None)
        for demand in demands:
            if isinstance(demand, Tokens):
                self.add(demand, -1)
            else:
                self.holders[key_of(demand)] = self.holders.get(key_of(demand), 0) + 1

    def on_settled(self, call: Call) -> None:
        since, wait = self.sent.pop(call, (0.0, None))
        if not since:
            return
        for demand in self.demands(call, Place):
            self.holders[key_of(demand)] -= 1
        in_full = call.outcome is not Outcome.EMPTY or self.crowd.loop.now - since >= 0.9 * (wait or 0.0)
        if call.hold is not None and call.outcome in UNPAID and in_full:
            for demand in self.demands(call, Tokens):
                if demand.limit == "own" and isinstance(demand, Tokens):
                    self.add(demand, 1)


class Watched(Crowd):
    def __init__(self, limits: tuple[str, ...]) -> None:
        rates, caps = (tuple(one for one in table if one.limit in limits) for table in (RATES, CAPS))
        super().__init__(rates, caps, max_held=6)  # type: ignore[arg-type]
        self.model = Model(self)
        self.lines = self.limits._lines = WatchedLines(self)
        self.store.watch(self.lines.freed)

    def on_sent(self, call: Call, raw: bytes) -> None:
        super().on_sent(call, raw)
        line, number = self.lines.last.get(call, (None, 0))
        keys = [key_of(demand) for demand in self.model.demands(call, Tokens | Place)]  # type: ignore[arg-type]
        for other in self.callers:
            if other.spot is not None and key_of(other.spot.demand) in keys:
                where, after = self.lines.last[other.call]
                assert where == line and number < after, PASSED
        self.model.on_sent(call, raw)

    def on_settled(self, call: Call) -> None:
        super().on_settled(call)
        self.model.on_settled(call)


class LinesMachine(RuleBasedStateMachine):
    crowd: Watched
    drained = False

    @initialize(limits=st.sampled_from(SCENES))
    def begin(self, limits: tuple[str, ...]) -> None:
        self.crowd = Watched(limits)

    def some(self, state: str) -> list[Caller]:
        if state == "sent":
            return [one for one in self.crowd.callers if one.call in self.crowd.model.sent]
        return [one for one in self.crowd.callers if not one.over and (state == "alive" or one.spot is not None)]

    @rule(who=WHO, timeout=st.sampled_from([2.0, 10.0, 30.0]), number=st.integers(1, 4))
    def poll(self, who: str, timeout: float, number: int) -> None:
        for _ in range(number):
            self.crowd.poll(who, timeout)

    @rule(who=WHO, number=st.integers(1, 3))
    def call(self, who: str, number: int) -> None:
        for _ in range(number):
            self.crowd.call(who)

    @precondition(lambda self: self.some("sent"))
    @rule(data=st.data(), body=st.sampled_from([b"[1]", b"", b"oops"]), after=st.none() | WHO)
    def answer(self, data: st.DataObject, body: bytes, after: str | None) -> None:
        """And somebody may come in the moment in which something was given back."""
        data.draw(st.sampled_from(self.some("sent"))).answered(body, {b"": 204, b"oops": 500}.get(body, 200))
        if after is not None:
            self.crowd.poll(after)

    @precondition(lambda self: self.some("alive"))
    @rule(data=st.data(), state=st.sampled_from(["alive", "waiting", "sent"]), after=st.none() | WHO)
    def hang_up(self, data: st.DataObject, state: str, after: str | None) -> None:
        callers = self.some(state)
        if callers:
            data.draw(st.sampled_from(callers)).leave()
        if after is not None:
            self.crowd.poll(after)

    @precondition(lambda self: self.some("alive"))
    @rule(data=st.data())
    def end_by_operator(self, data: st.DataObject) -> None:
        caller = data.draw(st.sampled_from(self.some("alive")))
        caller.serve.on_evict(caller.call)

    @precondition(lambda self: not self.drained and len(self.crowd.callers) > 20)
    @rule(window=st.sampled_from([1.0, 8.0]))
    def drain(self, window: float) -> None:
        self.drained = True
        self.crowd.drain(window)

    @rule()
    def turn(self) -> None:
        self.crowd.loop.turns()

    @rule(seconds=st.sampled_from([0.01, 0.3, 1.0, 4.0, 20.0]))
    def pass_time(self, seconds: float) -> None:
        ready = [(one, one.spot) for one in self.some("waiting") if self.first(one) and self.has_token(one)]
        self.crowd.loop.advance(seconds)
        if seconds >= 1.0:  # whoever had his token may wait for something else by now, elsewhere
            assert not [one for one, spot in ready if one.spot is spot]

    def first(self, caller: Caller) -> bool:
        return caller.spot is not None and caller.spot.line.first is caller.spot

    def has_token(self, caller: Caller) -> bool:
        assert caller.spot is not None
        demand = caller.spot.demand
        return isinstance(demand, Tokens) and self.crowd.model.left(demand) >= 1

    @invariant()
    def counts_are_exact(self) -> None:
        model, store, now = self.crowd.model, self.crowd.store, self.crowd.loop.now
        for (limit, key), number in model.holders.items():
            assert 0 <= number == store.held(limit, key) <= MAX[limit]
        for demand in self.buckets():
            left = model.left(demand)
            level = store.level(demand, now)
            assert abs(left - (level.left + 1 - Fraction(level.reset) / Fraction(demand.rate.interval))) < SLACK or (
                level.reset == 0 and abs(left - demand.rate.burst) < SLACK
            )
        assert len(self.crowd.records) == sum(one.over for one in self.crowd.callers)

    def buckets(self) -> Iterable[Tokens]:
        rates: dict[str, RateLimit] = {rate.limit: rate for rate in RATES}
        for limit, key in self.crowd.model.tokens:
            yield Tokens(limit, key, rates[limit].rate)

    @invariant()
    def nobody_waits_for_what_is_there(self) -> None:
        self.crowd.loop.turns(30)
        for caller in self.some("waiting"):
            assert caller.spot is not None
            if self.first(caller) and isinstance(caller.spot.demand, Place):
                assert self.crowd.model.lacking(caller.spot.demand)

    @invariant()
    def lines_hold_who_waits_and_nobody_else(self) -> None:
        lines = self.crowd.limits._lines._lines
        spots = [spot for line in lines.values() for spot in line.spots]
        assert len(spots) == len(self.some("waiting"))
        assert {spot.call for spot in spots} == {one.call for one in self.some("waiting")}
        assert not [line for line in lines.values() if (line.pacer is not None) is not (line.woken is not None)]
        assert not self.crowd.loop.errors

    def teardown(self) -> None:
        for caller in self.some("sent"):
            caller.answered()
        self.crowd.loop.advance(200.0)
        for caller in self.some("sent"):
            caller.answered()
        self.crowd.loop.advance(200.0)
        self.counts_are_exact()
        crowd = self.crowd
        assert all(one.over for one in crowd.callers) and not crowd.limits.waiting and not crowd.upstream.held
        assert not any(crowd.model.holders.values()) and not asyncio.all_tasks(crowd.loop)
        assert all(crowd.model.left(demand) == demand.rate.burst for demand in self.buckets())
        assert all(one.conn.log.count(("settled",)) == 1 for one in crowd.callers)
        assert not crowd.loop.errors
        crowd.loop.close()


TestLines = LinesMachine.TestCase
TestLines.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
