"""A store under everything at once, in any order: take, release, refund, evict and time. Beside it a model that counts
by hand; the ends meet exactly.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from gateway.call import Call, Lease, State
from gateway.state.bucket import Rate
from gateway.state.memory import MemoryStore
from gateway.state.store import Demand, Denied, Place, Store, Tokens
from tests.kit.stores import take

from .test_store import poll

KEYS = st.sampled_from(["alice", "bob", "carol"])
RATES = {"free": Rate(1.0, 2), "paid": Rate(0.25, 5)}  # binary fractions: the model and the store agree to the bit
CAPS = {"few": 2, "many": 4}
GRACE = 8.0


@dataclass(eq=False)
class Held:
    call: Call
    places: list[tuple[str, str]]
    leases: tuple[Lease, ...] = ()


@dataclass
class Model:
    """Tokens as fractions, places as lists in the order they were taken."""

    now: Fraction = Fraction(1024)
    tokens: dict[tuple[str, str], Fraction] = field(default_factory=dict)
    held: list[Held] = field(default_factory=list)
    barred: dict[tuple[str, str, str], Fraction] = field(default_factory=dict)

    def left(self, limit: str, key: str) -> Fraction:
        return self.tokens.get((limit, key), Fraction(RATES[limit].burst))

    def pass_time(self, seconds: Fraction) -> None:
        self.now += seconds
        for limit, key in self.tokens:
            more = self.tokens[limit, key] + seconds / Fraction(RATES[limit].interval)
            self.tokens[limit, key] = min(Fraction(RATES[limit].burst), more)

    def at(self, limit: str, key: str) -> list[Held]:
        return [one for one in self.held if (limit, key) in one.places]

    def lacking(self, demand: Demand) -> bool:
        if isinstance(demand, Tokens):
            return self.left(demand.limit, demand.key) < 1
        return len(self.at(demand.limit, demand.key)) >= demand.max

    def victim(self, demand: Place) -> Held | None:
        if not demand.evict or self.now < self.barred.get((demand.limit, demand.key, demand.who), Fraction(0)):
            return None
        return next((one for one in self.at(demand.limit, demand.key) if one.call.evictable), None)


class StoreMachine(RuleBasedStateMachine):
    def make(self) -> Store:
        return MemoryStore()

    def __init__(self) -> None:
        super().__init__()
        self.store = self.make()
        self.model = Model()

    @property
    def now(self) -> float:
        return float(self.model.now)

    @rule(
        key=KEYS,
        rates=st.sets(st.sampled_from(sorted(RATES))),
        caps=st.sets(st.sampled_from(sorted(CAPS))),
        evict=st.booleans(),
        parked=st.booleans(),
    )
    def take(self, key: str, rates: set[str], caps: set[str], evict: bool, parked: bool) -> None:
        demands: list[Demand] = [Tokens(limit, key, RATES[limit]) for limit in sorted(rates)]
        demands += [Place(limit, key, CAPS[limit], key, evict, GRACE) for limit in sorted(caps)]
        one = Held(poll(State.PARKED if parked else State.RELAYING), [(limit, key) for limit in sorted(caps)])
        while isinstance(taken := take(self.store, demands, one.call, self.now), Denied):
            lacking = [demand for demand in demands if self.model.lacking(demand)]
            assert taken.demand in lacking
            victims = [self.model.victim(demand) if isinstance(demand, Place) else None for demand in lacking]
            if taken.victim is None:
                assert None in victims
                return
            assert victims == [first for first in victims if first is not None], "ended for nothing"
            assert isinstance(taken.demand, Place)
            self.end(taken.demand, taken.victim, key)
        _, one.leases = taken
        assert len(one.leases) == len(caps)
        assert not any(self.model.lacking(demand) for demand in demands)
        self.model.held.append(one)
        for limit in rates:
            self.model.tokens[limit, key] = self.model.left(limit, key) - 1

    def end(self, demand: Place, victim: Call, who: str) -> None:
        found = self.model.victim(demand)
        assert found is not None and found.call is victim
        self.store.evicted(demand, who, self.now)
        self.model.barred[demand.limit, demand.key, who] = self.model.now + Fraction(GRACE)
        self.let_go(found)

    def let_go(self, one: Held) -> None:
        self.model.held.remove(one)
        for lease in one.leases:
            lease.release()

    @precondition(lambda self: self.model.held)
    @rule(data=st.data())
    def release(self, data: st.DataObject) -> None:
        self.let_go(data.draw(st.sampled_from(self.model.held)))

    @rule(limit=st.sampled_from(sorted(RATES)), key=KEYS)
    def refund(self, limit: str, key: str) -> None:
        self.store.give_back(Tokens(limit, key, RATES[limit]), self.now)
        self.model.tokens[limit, key] = min(Fraction(RATES[limit].burst), self.model.left(limit, key) + 1)

    @rule(quarters=st.sampled_from([1, 3, 4, 9, 33, 400]))
    def pass_time(self, quarters: int) -> None:
        self.model.pass_time(Fraction(quarters, 8))

    @invariant()
    def counts_are_exact(self) -> None:
        for key in ("alice", "bob", "carol"):
            for limit, rate in RATES.items():
                tokens = self.model.left(limit, key)
                shown = self.store.level(Tokens(limit, key, rate), self.now)
                assert shown.left == int(tokens)
                full = tokens == rate.burst
                assert shown.reset == (0 if full else float((int(tokens) + 1 - tokens) * Fraction(rate.interval)))
            for limit in CAPS:
                assert self.store.held(limit, key) == len(self.model.at(limit, key))

    def teardown(self) -> None:
        for one in list(self.model.held):
            self.let_go(one)
        self.model.pass_time(Fraction(1000))
        self.counts_are_exact()


TestStore = StoreMachine.TestCase
TestStore.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
