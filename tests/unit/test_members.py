"""Members of an upstream and the endpoints they come to, whatever names and operators do meanwhile: exactly those that
shall take calls do, an address that comes back is the endpoint it was, and every call is counted once.
"""

from __future__ import annotations

from typing import Any, cast

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.call import Lease
from gateway.config.balances import parse_balance
from gateway.upstream.balance import Upstream
from gateway.upstream.endpoint import MAX_IDLE, Endpoint
from gateway.upstream.member import Member, endpoints
from gateway.upstream.resolve import Place, places

ADDRESSES = ["10.0.0.1", "10.0.0.2", "10.0.0.3", "2001:db8::1"]
MEMBERS = (Member("a.test", 80), Member("b.test", 5000, weight=3), Member("10.0.0.9", 80))
DRAINABLE = ["a.test", "b.test:5000", "10.0.0.9", "a.test@10.0.0.1", "b.test@10.0.0.2:5000"]
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("move"), st.sampled_from(["a.test", "b.test"]), st.sets(st.sampled_from(ADDRESSES))),
        st.tuples(st.just("drain"), st.sampled_from(DRAINABLE), st.booleans()),
        st.tuples(st.just("call"), st.just(""), st.none()),
        st.tuples(st.just("end"), st.just(""), st.integers(0, 20)),
    ),
    max_size=30,
)  # fmt: skip


class Stage:
    """Where names are, and what operators drained."""

    def __init__(self, balance: str) -> None:
        self.at: dict[str, tuple[Place, ...]] = {}
        self.drained: set[str] = set()
        self.upstream = Upstream("up", parse_balance(balance), slow_start=5.0)
        self.upstream.members = MEMBERS
        self.leases: list[tuple[Endpoint, Lease]] = []
        self.settle()

    def settle(self) -> None:
        self.upstream.become(endpoints(self.upstream, MEMBERS, self.drained, lambda host: self.at.get(host, ())))

    def step(self, what: str, name: str, value: Any) -> None:
        if what == "move":
            self.at[name] = places(value)
        elif what == "drain":
            self.drained = self.drained | {name} if value else self.drained - {name}
        elif what == "call" and (picked := self.upstream.pick(now=len(self.leases))) is not None:
            self.leases.append((picked, picked.lease.take()))
        elif what == "end" and self.leases:
            self.leases.pop(value % len(self.leases))[1].release()
        self.settle()

    def wanted(self) -> list[tuple[str, str]]:
        """Members and their addresses that shall take calls, from the words of the documentation."""
        found = []
        for member in MEMBERS:
            port = "" if member.port == 80 else f":{member.port}"
            known = [place[0] for place in self.at.get(member.host, ())] if member.host != "10.0.0.9" else [member.host]
            for address in known:
                bracketed = f"[{address}]" if ":" in address else address
                if not self.drained & {member.name, f"{member.host}@{bracketed}{port}"}:
                    found.append((member.host, address))
        return found


@given(st.sampled_from(["least-held", "round-robin", "random-two"]), STEPS)
@example(
    "least-held",
    [("drain", "10.0.0.9", True), ("move", "a.test", {"10.0.0.1"}), ("call", "", None), ("move", "a.test", set()),
     ("move", "a.test", {"10.0.0.1"})],
)  # fmt: skip
def test_who_takes_calls_and_what_is_counted_whatever_happens(balance: str, steps: list[tuple[str, str, Any]]) -> None:
    place = Stage(balance)
    for step in steps:
        place.step(*step)
        upstream = place.upstream
        assert [(each.host, each.places[0]) for each in upstream.endpoints] == place.wanted()
        picked = upstream.pick(now=len(place.leases))
        assert picked in upstream.endpoints if place.wanted() else picked is None
        counts = [endpoint.held for endpoint in (*upstream.endpoints, *upstream.leaving)]
        assert sum(counts) == upstream.held == len(place.leases)
        assert {lent for lent, _ in place.leases} <= {*upstream.endpoints, *upstream.leaving}
        assert len({id(each) for each in (*upstream.endpoints, *upstream.leaving)}) == len(counts)
        assert {each.most_idle for each in upstream.endpoints} <= {MAX_IDLE}
        assert {each.most_idle for each in upstream.leaving} <= {0}
    for _, lease in place.leases:
        lease.release()
    assert (place.upstream.held, place.upstream.leaving) == (0, ())


NAMES: list[tuple[Member, str, str]] = [
    (Member("a.test", 80), "a.test", "a.test@10.0.0.1"),
    (Member("a.test", 5000), "a.test:5000", "a.test@10.0.0.1:5000"),
    (Member("a.test", 443, tls=cast(Any, object())), "a.test", "a.test@10.0.0.1"),
    (Member("a.test", 80, tls=cast(Any, object())), "a.test:80", "a.test@10.0.0.1:80"),
]


@pytest.mark.parametrize(("member", "alone", "one_of_many"), NAMES)
def test_an_endpoint_is_called_by_its_address_too_where_its_name_has_several(
    member: Member, alone: str, one_of_many: str
) -> None:
    upstream = Upstream("up")
    one = member.endpoints(upstream, lambda _: (("10.0.0.1",),))
    two = member.endpoints(upstream, lambda _: (("10.0.0.1",), ("10.0.0.2",)))
    assert [each.name for each in one] == [alone]
    assert two[0].name == one_of_many
    assert {each.authority for each in (*one, *two)} == {alone}, "what the service is told stays the same"
    upstream.become(one)
    (before,) = upstream.endpoints
    upstream.become(two)
    assert upstream.endpoints[0] is before and before.name == one_of_many


def test_connections_that_rest_stay_while_certificates_are_the_same() -> None:
    class Idle:
        closed = False

        def close(self) -> None:
            self.closed = True

    upstream, idle = Upstream("up"), Idle()
    member = Member("a.test", 443, tls=cast(Any, object()))
    upstream.become(member.endpoints(upstream, lambda _: (("10.0.0.1",),)))
    upstream.endpoints[0].idle.append(cast(Any, idle))
    upstream.become(member.endpoints(upstream, lambda _: (("10.0.0.1",), ("10.0.0.2",))))
    assert not idle.closed
    renewed = Member("a.test", 443, tls=cast(Any, object()))
    upstream.become(renewed.endpoints(upstream, lambda _: (("10.0.0.1",),)))
    assert idle.closed


def test_a_member_owns_its_addresses_and_not_those_of_its_host_at_another_port() -> None:
    one, other, six = Member("a.test", 81), Member("a.test", 80), Member("a.test", 5000)
    names = ["a.test:81", "a.test@10.0.0.1:81", "a.test@10.0.0.1", "a.test@[2001:db8::1]:5000", "b.test@10.0.0.1:81"]
    assert [name for name in names if one.owns(name)] == names[:2]
    assert [name for name in names if other.owns(name)] == [names[2]]
    assert [name for name in names if six.owns(name)] == [names[3]]
    for member in (one, other, six):
        for place in places(ADDRESSES):
            assert member.owns(member.endpoint(Upstream("up"), place).full_name)
