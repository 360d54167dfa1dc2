"""Balancing, membership, health, retries and the circuit of one upstream under everything at once, in any order. Whom
it picks and what is sent is checked by the kit at that moment; here: counts always meet, nothing is left behind, and
when all is calm everybody is well again and loads even out.
"""

from __future__ import annotations

from typing import Any, cast

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from gateway.call import State
from gateway.upstream.ejection import Ejection
from gateway.upstream.health import Health
from gateway.upstream.member import Member
from gateway.upstream.resolve import places
from gateway.upstream.standing import Probe
from tests.kit.fleet import MEMBERS, MOST_SENT, Fleet

BALANCES = ["least-held", "round-robin", "random-two", "hash:query.sid", "sticky:query.sid"]
ADDRESSES = ["10.0.0.1", "10.0.0.2", "10.0.1.1"]
DRAINABLE = ["a.test", "b.test:5000", "10.0.0.9", "a.test@10.0.0.1", "b.test@10.0.0.2:5000"]
WORDS: Any = {
    "balance": st.sampled_from(BALANCES),
    "slow_start": st.sampled_from([0.0, 10.0]),
    "ejects": st.sampled_from([None, Ejection(2, 10.0, 30.0, 0.5, frozenset({500}))]),
    "probes": st.sampled_from([None, Health("/healthz")]),
}
PATHS, SIDS = st.sampled_from(sorted(MOST_SENT)), st.sampled_from(["x", "y", "z", None])


class UpstreamMachine(RuleBasedStateMachine):
    fleet: Fleet

    @initialize(**WORDS)
    def begin(self, **words: Any) -> None:
        self.fleet = Fleet(**words)

    @rule(path=PATHS, sid=SIDS, number=st.integers(1, 4))
    def calls(self, path: str, sid: str | None, number: int) -> None:
        for _ in range(number):
            self.fleet.call(path, sid)

    @precondition(lambda self: self.fleet.dials)
    @rule(data=st.data(), number=st.integers(1, 8), refused=st.booleans())
    def dials_end(self, data: st.DataObject, number: int, refused: bool) -> None:
        for _ in range(number):
            if self.fleet.dials:
                dial = data.draw(st.sampled_from(self.fleet.dials))
                self.fleet.connect(dial, ConnectionRefusedError() if refused else None)

    @precondition(lambda self: self.fleet.asked)
    @rule(data=st.data(), status=st.sampled_from([200, 404, 500, 503]), names=SIDS, keep=st.booleans())
    def answer(self, data: st.DataObject, status: int, names: str | None, keep: bool) -> None:
        body = b'0{"sid": "%s"}' % names.encode() if names else b"[1]"
        self.fleet.answer(data.draw(st.sampled_from(self.fleet.asked)), status, body, keep)

    @precondition(lambda self: self.fleet.wires)
    @rule(data=st.data(), reset=st.booleans(), all_of_it=st.booleans())
    def connections_are_lost(self, data: st.DataObject, reset: bool, all_of_it: bool) -> None:
        """One, or those of a whole endpoint that dies."""
        lost = data.draw(st.sampled_from(self.fleet.wires))
        for wire in list(self.fleet.wires):
            if wire is lost or (all_of_it and wire.connection.endpoint is lost.connection.endpoint):
                wire.end(ConnectionResetError() if reset else None)

    @precondition(lambda self: self.fleet.calls)
    @rule(data=st.data())
    def client_leaves(self, data: st.DataObject) -> None:
        call = data.draw(st.sampled_from(self.fleet.calls))
        self.fleet.serve.on_gone(call)

    @rule(name=st.sampled_from(["a.test", "b.test"]), found=st.sets(st.sampled_from(ADDRESSES)))
    def name_moves(self, name: str, found: set[str]) -> None:
        self.fleet.at[name] = places(found)
        self.fleet.settle()

    @rule(name=st.sampled_from(DRAINABLE), drained=st.booleans())
    def operator_drains(self, name: str, drained: bool) -> None:
        self.fleet.drained = self.fleet.drained | {name} if drained else self.fleet.drained - {name}
        self.fleet.settle()

    @rule(members=st.lists(st.sampled_from((*MEMBERS, Member("10.0.0.8", 80, weight=3))), unique=True))
    def operator_adds_and_removes(self, members: list[Member]) -> None:
        self.fleet.members = tuple(members)
        self.fleet.settle()

    @rule(**WORDS)
    def reload(self, **words: Any) -> None:
        self.fleet.reload(**words)

    @precondition(lambda self: self.fleet.known)
    @rule(data=st.data(), good=st.booleans(), times=st.integers(1, 3))
    def probed(self, data: st.DataObject, good: bool, times: int) -> None:
        """Also those that are gone: their probe was under way."""
        known = sorted(self.fleet.known, key=lambda each: (each.name, id(each)))
        endpoint = data.draw(st.sampled_from(known))
        for _ in range(times):
            self.fleet.watcher.probed(endpoint, Probe(good, "status 200", self.fleet.loop.now, 0.1))

    @rule(seconds=st.sampled_from([0.0, 0.2, 1.5, 12.0, 40.0]))
    def pass_time(self, seconds: float) -> None:
        self.fleet.loop.advance(seconds)

    @invariant()
    def counts_meet(self) -> None:
        if hasattr(self, "fleet"):
            self.fleet.check_counts()
            self.nothing_grows()

    def nothing_grows(self) -> None:
        upstream, picker = self.fleet.upstream, cast(Any, self.fleet.upstream._picker)
        heap = getattr(picker, "_heap", None) or getattr(getattr(picker, "_others", None), "_heap", [])
        assert len(heap) <= 5 * len(upstream.choice) + 17
        assert set(upstream.slow_start._begun) <= set(upstream.choice)
        assert set(upstream.choice) <= set(upstream.endpoints)
        assert upstream.circuit._refusing <= self.fleet.known
        tester = upstream.circuit._tester
        assert tester is None or tester.call.state is not State.SETTLED
        assert tester is None or tester in tester.call.leases
        assert all(each.most_idle == 0 and not each.idle for each in upstream.leaving)

    def teardown(self) -> None:
        if not hasattr(self, "fleet"):
            return
        fleet = self.fleet
        fleet.at = {"a.test": places(ADDRESSES[:2]), "b.test": places(ADDRESSES[2:])}
        fleet.members, fleet.drained = MEMBERS, set()
        fleet.settle()
        for _ in range(40):  # all is well from now on
            for _ in range(50):
                for dial in fleet.dials:
                    fleet.connect(dial)
                for wire in fleet.asked:
                    fleet.answer(wire, 200)
            for endpoint in fleet.upstream.endpoints:
                fleet.watcher.probed(endpoint, Probe(True, "status 200", fleet.loop.now, 0.1))
            fleet.loop.advance(10.0)
            fleet.check_counts()
            fleet.call("/cursor", None)
        self.loads_even_out()
        for call in fleet.calls:
            fleet.serve.on_gone(call)
        fleet.loop.advance(60.0)
        fleet.check_counts()
        assert not fleet.calls and not fleet.wires and not fleet.upstream.leaving and fleet.upstream.held == 0
        assert all((each.open, each.dialing, len(each.waiting)) == (0, 0, 0) for each in fleet.known)
        assert not fleet.loop.errors, fleet.loop.errors

    def loads_even_out(self) -> None:
        fleet = self.fleet
        members = fleet.upstream.endpoints
        assert not [each for each in members if each.out] and fleet.upstream.choice == members
        assert fleet.upstream.circuit.state == "closed" and all(each.share == each.weight for each in members)
        fleet.loop.advance(200.0)
        for call in fleet.calls:
            fleet.serve.on_gone(call)
        fleet.check_counts()
        for _ in range(5 * len(members)):
            fleet.call("/cursor", None)
            for dial in fleet.dials:
                fleet.connect(dial)
        if fleet.upstream.balance.kind != "random-two":
            assert [each.held for each in members] == [5] * len(members)


TestUpstream = UpstreamMachine.TestCase
TestUpstream.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
