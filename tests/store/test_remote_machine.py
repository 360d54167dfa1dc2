"""Limits, lines and the life of calls of several processes that share a store, under everything at once, in any order:
polls and ordinary calls, answers, hang-ups, evictions, drains, reloads, a process that dies, time; the store decides at
once or answers later, and its words come in any order. Whatever happened, no more are at the upstream than may be, who
waits stands in the store's line and nobody else does, nobody waits for what is there, and the ends meet exactly.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from gateway.asking import Asking
from tests.kit.crowd import Caller
from tests.kit.world import CAPS, MAX, RATES, SCENES, Gateway, World, places

WHO = st.sampled_from(["a", "b", "c"])


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
