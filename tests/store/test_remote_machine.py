"""Limits, lines and the life of calls of several processes that share a store, under everything at once, in any order:
polls and ordinary calls, answers, hang-ups, evictions, drains, reloads, a process that dies, time; the store decides at
once or answers later, and its words come in any order. Whatever happened, no more are at the upstream than may be, who
waits stands in the store's line and nobody else does, nobody waits for what is there, and the ends meet exactly.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import replace
from random import Random

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from gateway.asking import Asking
from gateway.call import Call
from gateway.outcome import Outcome
from gateway.policies.caps import compile_cap
from gateway.policies.rate_limit import compile_rate_limit
from gateway.state.store import Place
from tests.kit.authority import Authority
from tests.kit.crowd import Caller, Crowd
from tests.kit.holds import hold_plan
from tests.kit.jumping import JumpingLoop
from tests.kit.pollers import LOSER, NEWEST, TEMPLATE
from tests.kit.remote import Front

WHO = st.sampled_from(["a", "b", "c"])
BURST = 1000
RATES = (
    compile_rate_limit("own", "own", (1.0, 4.0), 2, "address", {}, True, delay=True),
    compile_rate_limit("paid", "paid", (1.0, 1e9), BURST, "route", {}, False),  # no token comes back by itself
)
CAPS = (
    compile_cap("one", True, 1, "route", {}, max_waiting=4),
    compile_cap("polls", True, 3, "route", {}, max_waiting=6),
    compile_cap("tabs", True, 2, "address", {}, evict=True, grace=5.0),
    compile_cap("calls", False, 2, "route", {}, max_waiting=3),
)
SCENES: list[tuple[str, ...]] = [
    ("one", "paid"), ("polls", "calls", "paid"), ("own", "paid"), ("own", "polls", "paid"), ("tabs", "paid"),
    ("polls", "tabs", "paid"), ("own", "one", "polls", "tabs", "calls", "paid"),
]  # fmt: skip
DELAYS = [0.0, 0.0, 0.001, 0.02, 0.09]
MAX = {cap.limit: cap.max for cap in CAPS}
UNSERVED = {Outcome.OVERLOADED}


class Gateway(Crowd):
    """One of the processes. `dead`: nothing it does reaches anybody any more."""

    def __init__(self, world: World, front: Front, limits: tuple[str, ...], sessions: bool) -> None:
        self.world = world
        self.front = front
        rates, caps = (tuple(one for one in table if one.limit in limits) for table in (RATES, CAPS))
        hold = hold_plan(answer="template", template=TEMPLATE)
        if sessions:
            hold = replace(hold, key=lambda asked: asked.arg("sid"), concurrency=NEWEST, loser=LOSER, dialect="d")
        super().__init__(rates, caps, hold=hold, loop=world.loop, store=front)  # type: ignore[arg-type]

    def on_sent(self, call: Call, raw: bytes) -> None:
        if not self.front.dead:
            super().on_sent(call, raw)
            self.world.on_sent(self, call)

    def on_settled(self, call: Call) -> None:
        if not self.front.dead:
            super().on_settled(call)
            self.world.sent.pop(call, None)

    @property
    def alive(self) -> list[Caller]:
        return [one for one in self.callers if not one.over]


class World:
    """Some gateways, the store they share, and what is at the upstream."""

    def __init__(self, seed: int, limits: tuple[str, ...], at_once: bool, sessions: bool, number: int) -> None:
        self.loop = JumpingLoop()
        draw = Random(seed)

        def delay() -> float:
            return draw.choice(DELAYS)

        self.authority = Authority(self.loop, delay, None if at_once else delay)
        self.sent: dict[Call, None] = {}
        self.orphans: set[Call] = set()  # lost their places to who died before it had them, and have not heard of it
        self.paid = 0
        self.served: list[int] = []  # tickets of the line for one place, in the order in which they were served
        self.gateways = [
            Gateway(self, Front(self.authority, f"g{n}"), limits, sessions) for n in range(1, number + 1)
        ]  # fmt: skip

    @property
    def living(self) -> list[Gateway]:
        return [one for one in self.gateways if not one.front.dead]

    def on_sent(self, gateway: Gateway, call: Call) -> None:
        if call not in self.sent:
            self.paid += 1
        self.sent[call] = None
        for key, number in self.counts().items():
            assert number <= MAX[key[0]], f"{number} at the upstream under {key}"
        bearer = gateway.front.bearers.get(call)
        if bearer is not None and bearer.ticket is not None and "one" in {cap.limit for cap in places(call)}:
            self.served.append(bearer.ticket)

    def counts(self) -> Counter[tuple[str, str]]:
        sent = [call for call in self.sent if call not in self.orphans]
        return Counter((place.limit, place.key) for call in sent for place in places(call))

    def settle(self) -> None:
        """Until nothing is on its way to anybody."""
        for _ in range(200):
            self.loop.turns(5)
            talking = any(each.waiting for one in self.gateways for each in one.front.channels)
            if not self.asking and not talking and not self.unheard:
                return
            self.loop.advance(0.02)
        raise AssertionError("the store and its processes talk for ever")

    @property
    def unheard(self) -> bool:
        """Whether somebody asked who is not answered, be he over by now: a dead process confirms nothing, and is waited
        for."""
        return any(bearer.unheard for one in self.living for bearer in one.front.bearers.values())

    @property
    def asking(self) -> list[Call]:
        return [one.call for gateway in self.living for one in gateway.alive if isinstance(one.call.up, Asking)]

    def die(self, gateway: Gateway) -> None:
        for caller in gateway.callers:
            self.sent.pop(caller.call, None)
        known = [one for each in self.gateways for one in each.front.bearers.values()]
        self.orphans |= {one.call for one in known if one.lost}
        self.authority.bury(gateway.front)


def places(call: Call) -> list[Place]:
    assert call.plan is not None
    found = [cap.demand(call) for cap in call.plan.caps]
    return [one for one in found if one is not None]


class RemoteMachine(RuleBasedStateMachine):
    world: World
    lost = False  # what a process that died was about to be told is told to nobody

    @initialize(
        seed=st.integers(0, 2**16), limits=st.sampled_from(SCENES), at_once=st.booleans(), sessions=st.booleans(),
        number=st.sampled_from([2, 2, 3]),
    )  # fmt: skip
    def begin(self, seed: int, limits: tuple[str, ...], at_once: bool, sessions: bool, number: int) -> None:
        self.world = World(seed, limits, at_once, sessions, number)
        self.sessions = sessions
        self.drained: set[Gateway] = set()

    def some(self, state: str) -> list[tuple[Gateway, Caller]]:
        each = [(gateway, one) for gateway in self.world.living for one in gateway.alive]
        if state == "sent":
            return [(gateway, one) for gateway, one in each if one.call in self.world.sent]
        if state == "asking":
            return [(gateway, one) for gateway, one in each if isinstance(one.call.up, Asking)]
        return each if state == "alive" else [(gateway, one) for gateway, one in each if one.spot is not None]

    @rule(at=st.integers(0, 2), who=WHO, timeout=st.sampled_from([2.0, 10.0, 30.0]), number=st.integers(1, 3),
          sid=st.sampled_from(["x", "y", ""]))  # fmt: skip
    def poll(self, at: int, who: str, timeout: float, number: int, sid: str) -> None:
        gateway = self.world.living[at % len(self.world.living)]
        for _ in range(number):
            gateway.call(who, f"/updates?timeout={timeout:g}" + (f"&sid={sid}" if sid else ""))

    @rule(at=st.integers(0, 2), who=WHO, number=st.integers(1, 3))
    def call(self, at: int, who: str, number: int) -> None:
        for _ in range(number):
            self.world.living[at % len(self.world.living)].call(who)

    @precondition(lambda self: self.some("sent"))
    @rule(data=st.data(), body=st.sampled_from([b"[1]", b"", b"oops"]), after=st.none() | WHO)
    def answer(self, data: st.DataObject, body: bytes, after: str | None) -> None:
        gateway, caller = data.draw(st.sampled_from(self.some("sent")))
        caller.answered(body, {b"": 204, b"oops": 500}.get(body, 200))
        if after is not None:
            gateway.poll(after)

    @precondition(lambda self: self.some("alive"))
    @rule(data=st.data(), state=st.sampled_from(["alive", "asking", "asking", "waiting", "sent"]))
    def hang_up(self, data: st.DataObject, state: str) -> None:
        callers = self.some(state)
        if callers:
            data.draw(st.sampled_from(callers))[1].leave()

    @precondition(lambda self: self.some("alive"))
    @rule(data=st.data(), state=st.sampled_from(["alive", "asking", "waiting"]))
    def end_by_operator(self, data: st.DataObject, state: str) -> None:
        callers = self.some(state)
        if callers:
            caller = data.draw(st.sampled_from(callers))[1]
            caller.serve.on_evict(caller.call)

    @precondition(lambda self: self.some("alive"))
    @rule(data=st.data(), state=st.sampled_from(["asking", "waiting"]))
    def revoke(self, data: st.DataObject, state: str) -> None:
        callers = self.some(state)
        if callers:
            caller = data.draw(st.sampled_from(callers))[1]
            caller.serve.on_revoked(caller.call)

    @precondition(lambda self: not self.drained and any(len(one.callers) > 8 for one in self.world.living))
    @rule(at=st.integers(0, 2), window=st.sampled_from([0.05, 1.0, 8.0]))
    def drain(self, at: int, window: float) -> None:
        gateway = self.world.living[at % len(self.world.living)]
        self.drained.add(gateway)
        gateway.drain(window)

    @precondition(lambda self: len(self.world.living) > 1 and any(len(one.callers) > 5 for one in self.world.living))
    @rule(at=st.integers(0, 2))
    def die(self, at: int) -> None:
        self.lost = True
        self.world.die(self.world.living[at % len(self.world.living)])

    @rule(at=st.integers(0, 2), more=st.integers(0, 2))
    def reload(self, at: int, more: int) -> None:
        caps = [replace(cap, max_waiting=cap.max_waiting + more if cap.max_waiting else 0) for cap in CAPS]
        self.world.living[at % len(self.world.living)].limits.renew({one.limit: one for one in (*RATES, *caps)})

    @rule()
    def turn(self) -> None:
        self.world.loop.turns()

    @rule(seconds=st.sampled_from([0.0001, 0.01, 0.05, 0.3, 4.0, 20.0]))
    def pass_time(self, seconds: float) -> None:
        self.world.loop.advance(seconds)

    @rule()
    def quiet(self) -> None:
        """All words have arrived."""
        world = self.world
        world.settle()
        for (limit, key), line in world.authority.lines.items():
            here = [
                one.call
                for _, one in self.some("waiting")
                if one.spot and (one.spot.demand.limit, one.spot.demand.key) == (limit, key)
            ]
            assert {bearer.call for bearer in line} == set(here), "who waits here stands in line there, and nobody else"
            if line:
                assert len(world.authority.holders[limit, key]) >= MAX[limit], "somebody waits for what is there"
            for gateway in world.living:
                local = gateway.limits._lines._lines.get((limit, key))
                order = [bearer.call for bearer in line if bearer.front is gateway.front]
                assert order == ([spot.call for spot in local.spots] if local is not None else [])
        held = {bearer.call for holders in world.authority.holders.values() for bearer in holders}
        assert held == {call for call in world.sent if places(call)}, "places are lent to who is at the upstream"
        self.exact()

    def exact(self) -> None:
        world = self.world
        if self.lost:
            return
        (rate,) = (rate for rate in RATES if rate.limit == "paid")
        full_at = world.authority.full_at.get(("paid", "updates"), world.loop.now)
        other = world.authority.full_at.get(("paid", "calls"), world.loop.now)
        now = world.loop.now
        used = round((full_at - now) / rate.rate.interval) + round((other - now) / rate.rate.interval)
        unsent = used - world.paid  # of those who were superseded in the moment in which they were let in
        assert unsent == 0 or (unsent > 0 and self.sessions), f"{used} tokens were taken for {world.paid} calls"

    @invariant()
    def never_more_than_there_are(self) -> None:
        for (limit, _), holders in self.world.authority.holders.items():
            assert len(holders) <= MAX[limit] and len(set(holders)) == len(holders)
        assert not self.world.loop.errors

    @invariant()
    def one_record_a_call(self) -> None:
        for gateway in self.world.living:
            assert len(gateway.records) == sum(one.over for one in gateway.callers)
            assert all(one.conn.log.count(("settled",)) == one.over for one in gateway.callers)

    @invariant()
    def who_came_first_to_the_line_for_one_place_was_served_first(self) -> None:
        assert self.world.served == sorted(self.world.served)

    def teardown(self) -> None:
        world = self.world
        self.quiet()
        for _ in range(3):
            for _, caller in self.some("sent"):
                caller.answered()
            world.loop.advance(200.0)
        self.quiet()
        assert not self.some("alive") and not any(world.authority.holders.values()) and not world.sent
        for gateway in world.living:
            assert not gateway.limits.waiting and not gateway.upstream.held and not gateway.front.bearers
            assert not gateway.front.lent and all(not one.call.leases for one in gateway.callers)
        assert not any(world.authority.lines.values()) and not self.world.loop.errors
        if not self.lost:
            assert not asyncio.all_tasks(world.loop)
        self.never_more_than_there_are(), self.one_record_a_call()
        world.loop.close()


TestRemote = RemoteMachine.TestCase
TestRemote.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
