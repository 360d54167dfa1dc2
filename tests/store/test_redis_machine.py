"""Several nodes of a real Redis server under everything at once, in any order, beside the model that counts by hand:
who takes, who ends for it wherever he is parked, who waits and in what order, who is killed, and time.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from fractions import Fraction

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import invariant, precondition, rule

from gateway.call import Call
from gateway.demands import release
from gateway.state.store import Denied, Place, Store, Tokens
from tests.kit.authorities import Worker
from tests.kit.redis_authority import Redis

from .test_across_machine import AcrossMachine
from .test_store import poll
from .test_store_machine import CAPS, RATES

NODES = 3
KEYS = ("alice", "bob")
LINE = {key: Place("line", key, 1, key, line=2) for key in KEYS}


@dataclass
class Line:
    """Who has the one place, and who waits for it; each with his node."""

    holder: list[tuple[Worker, Call]] = field(default_factory=list)
    waits: list[tuple[Worker, Call]] = field(default_factory=list)


class RedisMachine(AcrossMachine):
    def make(self) -> Store:
        self.redis = Redis()
        self.authority = self.redis  # type: ignore[assignment]
        self.workers = [Worker(self.redis.store()) for _ in range(NODES)]
        self.redis.at(1024.0)
        self.lines: defaultdict[str, Line] = defaultdict(Line)
        self.of: dict[Call, Worker] = {}
        return self.workers[0].store

    def ask(self, at: int, key: str, rates: frozenset[str], caps: set[str], parked: bool, who: str) -> None:
        worker = self.workers[at % len(self.workers)]
        super().ask(at % len(self.workers), key, rates, caps, parked or not self.begins, who)
        if self.model.held:
            self.of.setdefault(self.model.held[-1].call, worker)

    @rule(at=st.integers(0, NODES - 1), key=st.sampled_from(KEYS))
    def come(self, at: int, key: str) -> None:
        self.wait(self.workers[at % len(self.workers)], key, poll())

    @precondition(lambda self: any(line.waits for line in self.lines.values()))
    @rule(data=st.data(), stays=st.booleans())
    def go_on(self, data: st.DataObject, stays: bool) -> None:
        key, (worker, call) = data.draw(st.sampled_from([(key, one) for key in KEYS for one in self.lines[key].waits]))
        if stays:
            return self.wait(worker, key, call)
        worker.store.leaves(call)
        self.lines[key].waits.remove((worker, call))
        return None

    def wait(self, worker: Worker, key: str, call: Call) -> None:
        line, me = self.lines[key], (worker, call)
        self.redis.turns()
        if line.waits and line.waits[0] == me:
            worker.freed[:] = [told for told in worker.freed if told != ("line", key)]
        taken = worker.take(LINE[key], holder=call, now=self.now)
        if not line.holder and (not line.waits or line.waits[0] == me):
            assert not isinstance(taken, Denied)
            line.holder.append(me)
        else:
            queued = me in line.waits or len(line.waits) < LINE[key].line
            assert isinstance(taken, Denied) and taken.queued is queued
            if queued and me not in line.waits:
                line.waits.append(me)
        if me in line.holder and me in line.waits:
            line.waits.remove(me)

    @precondition(lambda self: any(line.holder for line in self.lines.values()))
    @rule(data=st.data())
    def leave(self, data: st.DataObject) -> None:
        line = data.draw(st.sampled_from([line for line in self.lines.values() if line.holder]))
        release(line.holder.pop()[1])

    @precondition(lambda self: len(self.workers) > 1)
    @rule(at=st.integers(0, NODES - 1))
    def die(self, at: int) -> None:
        worker = self.workers.pop(at % len(self.workers))
        self.store = self.workers[0].store
        self.redis.die(worker.store)  # type: ignore[arg-type]
        self.model.pass_time(Fraction(self.redis.loop.now) - self.model.now)
        self.model.held = [one for one in self.model.held if self.of[one.call] is not worker]
        for line in self.lines.values():
            line.holder = [one for one in line.holder if one[0] is not worker]
            line.waits = [one for one in line.waits if one[0] is not worker]

    @precondition(lambda self: len(self.workers) < NODES)
    @rule()
    def appear(self) -> None:
        self.workers.append(Worker(self.redis.store()))

    @rule(quarters=st.sampled_from([1, 3, 4, 9, 33, 400]))
    def pass_time(self, quarters: int) -> None:
        super().pass_time(quarters)
        self.redis.at(self.now)

    @invariant()
    def counts_are_exact(self) -> None:
        self.redis.turns()
        store = self.redis.stores[0]
        for key in KEYS:
            for limit, rate in RATES.items():
                assert store.level(Tokens(limit, key, rate), self.now).left == int(self.model.left(limit, key))
            for limit in CAPS:
                assert len(self.redis.living(store.names[limit, key], "l")) == len(self.model.at(limit, key))
            line, name = self.lines[key], store.names["line", key]
            assert len(self.redis.living(name, "l")) == len(line.holder)
            assert len(self.redis.living(name, "w")) == len(line.waits)
            if line.waits and not line.holder:
                assert ("line", key) in line.waits[0][0].freed, "whoever is next was told"

    def teardown(self) -> None:
        for line in self.lines.values():
            for _, call in line.holder:
                release(call)
            line.holder.clear()
            for worker, call in line.waits:
                worker.store.leaves(call)
            line.waits.clear()
        super().teardown()


TestRedis = RedisMachine.TestCase
TestRedis.settings = settings(max_examples=40, stateful_step_count=40, deadline=None)
