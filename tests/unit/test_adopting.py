"""Upstreams under another configuration: an endpoint that is still there is the same one, with all it carries; what is
gone ends what it has and takes nothing new; and every call under way is counted once, wherever its endpoint went.
"""

from __future__ import annotations

from collections import Counter
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.call import Lease
from gateway.config.balances import parse_balance
from gateway.upstream.balance import Upstream
from gateway.upstream.endpoint import Endpoint

HOSTS = st.lists(st.tuples(st.sampled_from("abc"), st.integers(1, 3), st.booleans()), min_size=1, max_size=5)
CALLS = st.lists(st.booleans(), max_size=8)
LIVES = st.lists(st.tuples(HOSTS, CALLS), min_size=1, max_size=8)


class Idle:
    """An idle connection."""

    def __init__(self) -> None:
        self.closed = False

    def close(self) -> None:
        self.closed = True


def made(hosts: list[tuple[str, int, bool]], **settings: Any) -> Upstream:
    """A configuration: hosts, which may be written more than once, their weights, and whether they speak TLS."""
    found = Upstream("up", **settings)
    context: Any = object()  # each configuration reads its certificates anew
    found.endpoints = tuple(
        Endpoint(found, host, 443 if tls else 80, weight, context if tls else None) for host, weight, tls in hosts
    )
    return found


def rest(endpoint: Endpoint) -> Idle:
    """One more connection rests with the endpoint."""
    idle = Idle()
    endpoint.idle.append(cast(Any, idle))
    return idle


def kept(before: tuple[Endpoint, ...], after: tuple[Endpoint, ...]) -> int:
    """How many endpoints of two configurations must be the same: those at the same address."""
    return (Counter(one.address for one in before) & Counter(one.address for one in after)).total()


@given(LIVES)
def test_counts_meet_whatever_configurations_come_and_go(
    lives: list[tuple[list[tuple[str, int, bool]], list[bool]]],
) -> None:
    live = made(lives[0][0])
    ever, leases = list(live.endpoints), list[Lease]()
    for hosts, calls in lives:
        before, fresh = live.endpoints, made(hosts)
        wanted = [(one.address, one.weight, one.tls) for one in fresh.endpoints]
        live.adopt(fresh)
        assert [(one.address, one.weight, one.tls) for one in live.endpoints] == wanted
        assert len({*before} & {*live.endpoints}) == kept(before, live.endpoints)
        assert {one.upstream for one in live.endpoints} == {live}
        ever += [one for one in live.endpoints if one not in ever]
        for take in calls:
            if take or not leases:
                endpoint = live.pick()
                assert endpoint in live.endpoints
                leases.append(endpoint.lease.take())
            else:
                leases.pop(0).release()
            assert live.held == len(leases) == sum(one.held for one in ever)
            assert min(one.held for one in ever) >= 0
        for one in {*ever} - {*live.endpoints}:
            assert (one.most_idle, len(one.idle)) == (0, 0)
    for lease in leases:
        lease.release()
    assert live.held == 0 and {one.held for one in ever} == {0}


def test_an_address_that_is_written_twice_stays_two_endpoints() -> None:
    live = made([("a", 1, False), ("a", 2, False)])
    first, second = live.endpoints
    second.lease.take()
    live.adopt(made([("a", 1, False), ("a", 2, False)]))
    assert live.endpoints == (first, second) and (first.held, second.held) == (0, 1)
    idle = rest(second)
    live.adopt(made([("a", 1, False)]))
    assert live.endpoints == (first,) and idle.closed and second.most_idle == 0


def test_idle_connections_stay_with_an_endpoint_unless_they_were_made_with_old_certificates() -> None:
    live = made([("a", 1, False), ("a", 1, True)])
    plain, secret = (rest(one) for one in live.endpoints)
    live.adopt(made([("a", 1, True), ("a", 1, False)]))
    assert (plain.closed, secret.closed) == (False, True)
    assert [len(one.idle) for one in live.endpoints] == [0, 1]


@pytest.mark.parametrize("change", [{"host": "b"}, {"port": 81}, {"server_name": "c"}, {"prefix": "/v2"}])
def test_what_answers_differently_is_another_endpoint(change: dict[str, Any]) -> None:
    live, fresh = Upstream("up"), Upstream("up")
    live.endpoints = (old := Endpoint(live, "a", 80),)
    fresh.endpoints = (new := Endpoint(fresh, **{"host": "a", "port": 80} | change),)
    idle = rest(old)
    live.adopt(fresh)
    assert live.endpoints == (new,) and idle.closed


def test_the_settings_are_those_of_the_new_configuration() -> None:
    live = made([("a", 1, False), ("b", 1, False)], balance=parse_balance("least-held"), keepalive=4.0, max_held=5)
    live.adopt(
        made([("a", 3, False), ("b", 1, False)], balance=parse_balance("round-robin"), keepalive=9.0, max_held=7)
    )
    assert (live.balance, live.keepalive, live.max_held) == (parse_balance("round-robin"), 9.0, 7)
    assert Counter(cast(Endpoint, live.pick()).host for _ in range(8)) == {"a": 6, "b": 2}


def test_an_upstream_that_is_new_adopts_itself() -> None:
    live = made([("a", 1, True)])
    (endpoint,) = live.endpoints
    endpoint.lease.take()
    idle = rest(endpoint)
    live.adopt(live)
    assert (live.endpoints, live.held, idle.closed) == ((endpoint,), 1, False)
