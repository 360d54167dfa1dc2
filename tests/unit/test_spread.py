"""Spreading calls over endpoints: by what they carry, in turn, by lot; whatever comes, goes, and is tried before."""

from __future__ import annotations

import random
from collections import Counter
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.call import Lease
from gateway.upstream.balance import Upstream
from gateway.upstream.endpoint import Endpoint
from tests.kit.balancing import take, upstream

WEIGHTS = st.lists(st.integers(1, 5), min_size=1, max_size=6)
MOVES = st.lists(st.tuples(st.sampled_from(["take", "give", "out", "back", "weigh"]), st.integers(0, 99)), max_size=80)
BALANCES = ["least-held", "round-robin", "random-two", "hash:consumer", "sticky:query.sid"]


def play(made: Upstream, leases: list[tuple[Endpoint, Lease]], move: str, number: int) -> None:
    """One thing that may happen to an upstream besides being asked."""
    endpoint = made.endpoints[number % len(made.endpoints)]
    if move == "give" and leases:
        leases.pop(number % len(leases))[1].release()
    elif move == "out":
        made.take_out(endpoint, "test")
    elif move == "back":
        made.put_back(endpoint, "test")
    elif move == "weigh":
        endpoint.weight = number % 5 + 1
        made.endpoints = made.endpoints


@given(WEIGHTS, st.integers(1, 4))
def test_round_robin_gives_each_endpoint_its_weight(weights: list[int], rounds: int) -> None:
    made = upstream(weights)
    taken = Counter(cast(Endpoint, made.pick()).host for _ in range(rounds * sum(weights)))
    assert taken == {f"h{number}": rounds * weight for number, weight in enumerate(weights)}


def test_round_robin_spreads_the_turns_of_a_heavy_endpoint() -> None:
    made = upstream([1, 4, 1])
    hosts = "".join(cast(Endpoint, made.pick()).host[1] for _ in range(60))
    assert max(len(run) for run in hosts.replace("0", "2").split("2")) <= 4 and "0" in hosts[:6] and "2" in hosts[:6]


@given(WEIGHTS, MOVES)
def test_least_held_picks_who_carries_least_for_its_weight(weights: list[int], moves: list[tuple[str, int]]) -> None:
    made = upstream(weights, "least-held")
    leases: list[tuple[Endpoint, Lease]] = []
    for move, number in moves:
        play(made, leases, move, number)
        if move == "take":
            endpoint = cast(Endpoint, made.pick())
            assert endpoint in made.choice
            assert endpoint.held / endpoint.weight == min(one.held / one.weight for one in made.choice)
            leases.append((endpoint, endpoint.lease.take()))
        assert made.held == len(leases) == sum(one.held for one in made.endpoints)


def test_turns_leave_nothing_behind() -> None:
    """What the structure holds is bounded by the endpoints, not by the calls."""
    made = upstream([1, 2, 3, 4], "least-held")
    leases = [take(made).lease for _ in range(40)]
    for _ in range(3000):
        leases.pop(random.randrange(len(leases))).release()
        leases.append(take(made).lease)
    assert len(made._picker._heap) == 4  # type: ignore[attr-defined]
    assert sorted(one.held for one in made.endpoints) == [4, 8, 12, 16]


@pytest.mark.parametrize("balance", ["least-held", "round-robin"])
def test_equals_take_turns(balance: str) -> None:
    made = upstream([1, 1, 1], balance)
    assert [{cast(Endpoint, made.pick()).host for _ in range(3)} for _ in range(3)] == [{"h0", "h1", "h2"}] * 3


@pytest.mark.parametrize("balance", ["least-held", "round-robin"])
def test_turns_go_on_when_others_come_and_go(balance: str) -> None:
    """An endpoint that flaps must not send everybody back to the first one."""
    made, taken = upstream([1] * 4, balance), Counter[str]()
    for number in range(400):
        (made.take_out if number % 2 else made.put_back)(made.endpoints[3], "test")
        taken[cast(Endpoint, made.pick()).host] += 1
    assert all(taken[host] >= 60 for host in ("h0", "h1", "h2"))


@pytest.mark.parametrize(("weights", "expected"), [([1] * 10, [100] * 10), ([1, 3], [250, 750])])
def test_random_two_ends_near_an_even_load(weights: list[int], expected: list[int]) -> None:
    made = upstream(weights, "random-two")
    for _ in range(1000):
        take(made)
    assert all(abs(one.held - wanted) <= 15 for one, wanted in zip(made.endpoints, expected, strict=True))


@given(st.sampled_from(BALANCES), WEIGHTS, MOVES)
def test_only_who_takes_calls_is_picked_and_nobody_twice_for_one_call(
    balance: str, weights: list[int], moves: list[tuple[str, int]]
) -> None:
    made = upstream(weights, balance)
    leases: list[tuple[Endpoint, Lease]] = []
    for move, number in moves:
        play(made, leases, move, number)
        tried: tuple[Endpoint, ...] = ()
        while endpoint := made.pick(tried):
            assert endpoint in made.choice and endpoint not in tried
            tried = (*tried, endpoint)
            if move == "take" and len(tried) == 1:
                leases.append((endpoint, endpoint.lease.take()))
        assert {*tried} == {*made.choice}


@pytest.mark.parametrize("balance", BALANCES)
def test_without_endpoints_there_is_nothing_to_pick(balance: str) -> None:
    assert upstream([], balance).pick() is None


@pytest.mark.parametrize("balance", ["least-held", "round-robin", "random-two"])
def test_what_one_that_is_down_would_have_had_is_shared_by_the_others(balance: str) -> None:
    made, taken = upstream([1, 1, 1, 1], balance), Counter[str]()
    for _ in range(3000):
        first = cast(Endpoint, made.pick())
        found = first if first.host != "h0" else cast(Endpoint, made.pick((first,)))
        taken[found.host] += 1
    assert set(taken) == {"h1", "h2", "h3"} and min(taken.values()) > 800


@pytest.mark.parametrize("balance", BALANCES)
def test_equals_may_join_one_after_another_before_anybody_calls(balance: str) -> None:
    made = upstream([1, 1, 1, 1], balance)
    for endpoint in reversed(made.endpoints):
        made.take_out(endpoint, "test")
    for endpoint in made.endpoints:
        made.put_back(endpoint, "test")
    assert {cast(Endpoint, made.pick()).host for _ in range(100)} == {"h0", "h1", "h2", "h3"}
