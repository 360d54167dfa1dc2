"""Several workers over one file under everything at once, in any order, beside the model that counts by hand: whoever
takes, whoever ends for it wherever he is parked, and whoever goes on because his answer has begun.
"""

from __future__ import annotations

from typing import TypeAlias

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, precondition, rule

from gateway.call import State
from gateway.state.store import Demand, Denied, Place, Store, Tokens
from tests.kit.authorities import Shared, Worker

from .test_store import poll
from .test_store_machine import CAPS, GRACE, RATES, Held, StoreMachine

WORKERS = 3
Asked: TypeAlias = tuple[int, str, frozenset[str], set[str], bool, str]
ASKED = st.tuples(
    st.integers(0, WORKERS - 1),
    st.sampled_from(["alice", "alice", "bob"]),  # few, so that places run out
    st.sampled_from([frozenset[str](), frozenset[str](), frozenset({"free"}), frozenset({"paid"})]),
    st.sets(st.sampled_from(sorted(CAPS)), min_size=1),
    st.sampled_from([True, True, False]),
    st.sampled_from(["ann", "ben", "cid", "dee", "eve", "fay"]),
)


class AcrossMachine(StoreMachine):
    """`evicting` caps make room. Where answers may have begun unseen by others, who is ended is not foretold; that
    counts are exact is."""

    evicting: frozenset[str] = frozenset()
    begins = False

    def make(self) -> Store:
        self.authority = Shared()
        self.workers = [Worker(self.authority.store()) for _ in range(WORKERS)]
        return self.workers[0].store

    @initialize(evicting=st.frozensets(st.sampled_from(sorted(CAPS)), min_size=1), begins=st.booleans())
    def rules(self, evicting: frozenset[str], begins: bool) -> None:
        self.evicting, self.begins = evicting, begins

    @rule(asked=st.lists(ASKED, min_size=1, max_size=8))
    def take(self, asked: list[Asked]) -> None:  # type: ignore[override]
        for one in asked:
            self.ask(*one)

    def ask(self, at: int, key: str, rates: frozenset[str], caps: set[str], parked: bool, who: str) -> None:
        demands: list[Demand] = [Tokens(limit, key, RATES[limit]) for limit in sorted(rates)]
        demands += [Place(limit, key, CAPS[limit], who, limit in self.evicting, GRACE) for limit in sorted(caps)]
        one = Held(poll(State.PARKED if parked else State.RELAYING), [(limit, key) for limit in sorted(caps)])
        one.call.peer = who
        wrong, victims = self.foretold(demands)
        taken = self.workers[at].take(*demands, holder=one.call, now=self.now)
        self.authority.turns()
        ended = [call for worker in self.workers for call, _ in worker.ended]
        if not self.begins:
            assert (taken.demand if isinstance(taken, Denied) else None) == wrong
            assert {call.id for call in ended} == {victim.call.id for victim, _ in victims if wrong is None}
            for victim, demand in victims if wrong is None else ():
                until = self.model.now + int(GRACE)
                self.model.barred[demand.limit, key, victim.call.peer] = until
        for held in [held for held in self.model.held if held.call in ended]:
            self.let_go(held)
        for worker in self.workers:
            worker.ended.clear()
        if not isinstance(taken, Denied):
            _, one.leases = taken
            assert not any(self.model.lacking(demand) for demand in demands)
            self.model.held.append(one)
            for limit in rates:
                self.model.tokens[limit, key] = self.model.left(limit, key) - 1

    def foretold(self, demands: list[Demand]) -> tuple[Demand | None, list[tuple[Held, Place]]]:
        """The first demand that fails, and who is ended for those before it."""
        victims: list[tuple[Held, Place]] = []
        for demand in demands:
            if not self.model.lacking(demand):
                continue
            if isinstance(demand, Tokens):
                return demand, victims
            victim = self.model.victim(demand)
            if victim is None:
                return demand, victims
            if any((demand.limit, demand.key) in each.places for each, _ in victims):
                continue  # who is ended anyhow leaves his place here too
            victims.append((victim, demand))
        return None, victims

    @precondition(lambda self: self.begins and self.model.held)
    @rule(data=st.data())
    def begin(self, data: st.DataObject) -> None:
        """The upstream has news: nobody else knows."""
        data.draw(st.sampled_from(self.model.held)).call.state = State.RELAYING

    @invariant()
    def counts_are_exact(self) -> None:
        for worker in self.workers:
            self.store = worker.store
            super().counts_are_exact()

    def teardown(self) -> None:
        try:
            super().teardown()
        finally:
            self.authority.close()


TestAcross = AcrossMachine.TestCase
TestAcross.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)
