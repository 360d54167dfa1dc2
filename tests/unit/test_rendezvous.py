"""Endpoints by a value: the same one everywhere and always, shares by weight, and an endpoint that comes or goes moves
its own share of the values and no other.
"""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.identity.claims import Identity
from gateway.upstream.balance import Upstream
from gateway.upstream.endpoint import Endpoint
from gateway.upstream.rendezvous import Ranking
from tests.kit.balancing import call, upstream
from tests.kit.heads import Fields

VALUES = [f"consumer-{number}" for number in range(4000)]


def ranking(*weights: tuple[str, int]) -> Ranking:
    up = Upstream("up")
    return Ranking(Endpoint(up, host, 80, weight) for host, weight in weights)


def where(made: Ranking, values: list[str] = VALUES) -> dict[str, str]:
    return {value: cast(Endpoint, made.find(value)).host for value in values}


def even(hosts: str) -> Ranking:
    return ranking(*((host, 1) for host in hosts))


@pytest.mark.parametrize("hosts", ["ab", "abcde", "abcdefghijkl"])
def test_one_more_endpoint_takes_its_share_and_moves_nothing_else(hosts: str) -> None:
    before, after = where(even(hosts)), where(even(hosts + "z"))
    moved = {value for value in VALUES if before[value] != after[value]}
    assert {after[value] for value in moved} == {"z"}
    assert len(moved) / len(VALUES) == pytest.approx(1 / (len(hosts) + 1), rel=0.25)


@given(st.sets(st.sampled_from("abcdefgh"), min_size=2), st.data())
def test_one_that_goes_takes_nobody_with_it(hosts: set[str], data: st.DataObject) -> None:
    gone = data.draw(st.sampled_from(sorted(hosts)))
    values = VALUES[:200]
    before, after = where(even("".join(hosts)), values), where(even("".join(hosts - {gone})), values)
    assert all(after[value] == before[value] for value in values if before[value] != gone)


@given(st.permutations("abcdef"))
def test_the_order_they_are_written_in_does_not_matter(hosts: list[str]) -> None:
    assert where(even("".join(hosts)), VALUES[:100]) == where(even("abcdef"), VALUES[:100])


def test_each_has_its_weight_in_values() -> None:
    shares = Counter(where(ranking(("a", 1), ("b", 2), ("c", 5))).values())
    for host, weight in (("a", 1), ("b", 2), ("c", 5)):
        assert shares[host] / len(VALUES) == pytest.approx(weight / 8, rel=0.15)


def test_more_weight_takes_values_from_the_others_and_moves_none_between_them() -> None:
    before, after = where(even("abc")), where(ranking(("a", 1), ("b", 1), ("c", 3)))
    assert {after[value] for value in VALUES if before[value] != after[value]} == {"c"}


def test_a_hundred_endpoints_share_evenly() -> None:
    up = Upstream("up")
    made = Ranking(Endpoint(up, f"10.0.0.{number}", 80) for number in range(100))
    shares = Counter(cast(Endpoint, made.find(f"{number}")).host for number in range(50_000))
    assert len(shares) == 100 and max(shares.values()) < 700 and min(shares.values()) > 300


def test_who_was_tried_is_followed_by_the_same_next_one_as_if_it_were_gone() -> None:
    made = even("abcd")
    for value in VALUES[:200]:
        first = cast(Endpoint, made.find(value))
        second = cast(Endpoint, made.find(value, (first,)))
        assert second.host == where(even("abcd".replace(first.host, "")), [value])[value]


def test_an_address_that_is_written_twice_has_two_shares() -> None:
    twice = ranking(("a", 1), ("a", 1))
    shares = Counter(id(twice.find(value)) for value in VALUES)
    assert len(shares) == 2 and min(shares.values()) > len(VALUES) / 3


def test_another_process_finds_the_same_endpoints() -> None:
    script = (
        "from tests.unit.test_rendezvous import VALUES, even, where\n"
        "print(''.join(where(even('abcdef'), VALUES[:500]).values()))"
    )
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.strip()
    assert found == "".join(where(even("abcdef"), VALUES[:500]).values())


ALICE, LONG = Identity("main", "alice", "acme"), "x" * 5000


@pytest.mark.parametrize(
    ("balance", "target", "headers", "identity"),
    [
        ("hash:consumer", "/", (), ALICE),
        ("hash:tenant", "/", (), ALICE),
        ("hash:consumer", "/", (), None),
        ("hash:query.doc", "/?doc=7", (), None),
        ("hash:query.doc", f"/?doc={LONG}", (), None),
        ("hash:header.X-Doc", "/", [("X-Doc", "7")], None),
        ("hash:header.X-Doc", "/", [("X-Doc", "\udcff")], None),
        ("hash:cookie.doc", "/", [("Cookie", "a=1; doc=7")], None),
    ],
)
def test_a_value_stays_with_its_endpoint_also_when_the_head_is_gone(
    balance: str, target: str, headers: Fields, identity: Identity | None
) -> None:
    made, asked = upstream([1] * 8, balance), call(target, headers, identity=identity)
    first = cast(Endpoint, made.pick((), asked))
    for _ in range(20):
        first.lease.take()
    asked.head = None
    assert made.pick((), asked) is first
    assert made.pick((first,), asked) not in (first, None)
    assert len(str(asked.affinity)) < 1000


def test_a_call_without_the_value_goes_where_least_is_carried() -> None:
    made = upstream([1] * 4, "hash:query.doc")
    for _ in range(3):
        cast(Endpoint, made.pick((), call("/?doc="))).lease.take()
    idle = next(one for one in made.endpoints if not one.held)
    assert made.pick((), call("/")) is idle


def test_strangers_are_told_apart_by_their_address_and_tenants_by_their_name() -> None:
    made = upstream([1] * 8, "hash:consumer")
    assert len({made.pick((), call(peer=f"192.0.2.{number}")) for number in range(100)}) == 8
    tenants = upstream([1] * 8, "hash:tenant")
    people = [Identity("main", f"p{number}", "acme") for number in range(20)]
    assert len({tenants.pick((), call(identity=one)) for one in people}) == 1


def test_what_was_decided_stays_while_shares_grow_and_not_when_weights_change() -> None:
    made = upstream([1, 1, 1], "hash:query.q", slow_start=20.0)
    ranking = cast(Any, made._picker)._ranking
    made.become((*made.endpoints, Endpoint(made, "h9", 80)))
    made.pick((), call("/?q=1"), 0.0)
    decided = ranking._decided
    made.pick((), call("/?q=2"), 5.0)
    assert ranking._decided is decided and made.endpoints[3].share < 1
    made.become([*made.endpoints[:3], Endpoint(made, "h9", 80, weight=5)])
    assert ranking._decided is not decided


@pytest.mark.parametrize("balance", ["hash:query.q", "sticky:query.sid", "least-held"])
def test_nothing_is_kept_of_endpoints_that_left_although_every_call_has_its_value(balance: str) -> None:
    """A name that has another address every hour."""
    made = upstream([1, 1], balance)
    for number in range(20):
        made.become((made.endpoints[0], Endpoint(made, f"new{number}", 80)))
        for endpoint in made.endpoints:
            endpoint.lease.take().release()
    assert made.eased is not None and made.eased <= set(made.endpoints)
