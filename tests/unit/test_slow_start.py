"""An endpoint that joins, or is back, takes its full share only after a while; at the start nobody is slow."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.upstream.balance import Upstream
from tests.kit.balancing import call, take, upstream

SPREAD = ["least-held", "round-robin", "random-two"]


def back(balance: str, weights: list[int]) -> Upstream:
    """Its last endpoint was out and is back, and the next call has come at 100 s."""
    made = upstream(weights, balance, slow_start=20.0)
    made.pick(now=50.0)
    made.take_out(made.endpoints[-1], "test")
    made.pick(now=60.0)
    made.put_back(made.endpoints[-1], "test")
    made.pick(now=100.0)
    return made


def shares(made: Upstream, now: float, count: int) -> Counter[str]:
    return Counter(take(made, now=now).host for _ in range(count))


@pytest.mark.parametrize("balance", SPREAD)
def test_at_the_start_everybody_has_his_share_at_once(balance: str) -> None:
    made = upstream([1, 1], balance, slow_start=20.0)
    assert min(shares(made, 0.0, 200).values()) >= 80


@pytest.mark.parametrize("balance", SPREAD)
def test_a_share_grows_with_the_time_since_the_first_call_that_could_be_its(balance: str) -> None:
    made = back(balance, [1, 1])
    found = [shares(made, now, 210)["h1"] for now in (100.0, 110.0)]
    assert 1 <= found[0] <= 25 and found[0] < found[1] <= 150
    assert made.endpoints[1].share == pytest.approx(0.55)
    made.pick(now=120.0)
    assert [one.share for one in made.endpoints] == [1, 1]


def test_everything_is_even_again_once_the_time_is_over() -> None:
    made = back("least-held", [1, 1])
    for second in range(100, 121):
        shares(made, float(second), 10)
    shares(made, 121.0, 400)
    assert made.endpoints[0].held == made.endpoints[1].held


@given(st.lists(st.floats(0, 3), max_size=30), st.integers(1, 5))
def test_a_share_never_shrinks_and_never_passes_the_weight(pauses: list[float], weight: int) -> None:
    made, now = back("least-held", [1, weight]), 100.0
    endpoint = made.endpoints[1]
    for pause in pauses:
        before, now = endpoint.share, now + pause
        made.pick(now=now)
        assert before <= endpoint.share <= weight
        assert endpoint.share >= min(1.0, (now - 100) / 20 - 0.05) * weight - 1e-9


def test_one_that_leaves_before_it_is_warm_begins_anew() -> None:
    made = back("round-robin", [1, 1])
    made.pick(now=119.0)
    warm = made.endpoints[1].share
    made.take_out(made.endpoints[1], "test")
    made.put_back(made.endpoints[1], "test")
    made.pick(now=119.5)
    assert made.endpoints[1].share < warm


def test_a_reload_goes_on_with_the_time_that_has_passed_and_with_the_new_weights() -> None:
    made = back("round-robin", [1, 1])
    made.pick(now=110.0)
    made.adopt(upstream([2, 2, 2], "least-held", slow_start=20.0))
    made.pick(now=110.1)
    assert [round(one.share / one.weight, 2) for one in made.endpoints] == [1, 0.55, 0.05]


def test_a_reload_that_wants_no_slow_start_ends_it() -> None:
    made = back("round-robin", [1, 1])
    made.adopt(upstream([1, 1], "round-robin"))
    assert [one.share for one in made.endpoints] == [1, 1]
    made.adopt(upstream([1, 1, 1], "round-robin"))
    assert [one.share for one in made.endpoints] == [1, 1, 1]


def test_when_all_were_out_the_first_that_is_back_has_everything() -> None:
    made = upstream([1, 1], "least-held", slow_start=20.0)
    for one in made.endpoints:
        made.take_out(one, "test")
    assert [one.share for one in made.endpoints] == [1, 1], "nobody is better than the others"
    made.put_back(made.endpoints[0], "test")
    assert made.pick(now=2.0) is made.endpoints[0] and made.endpoints[0].share == 1


def test_values_stay_where_they_are_while_an_endpoint_is_cold() -> None:
    """A share that grows would move them again and again."""
    cold, warm = back("hash:consumer", [1, 1, 1]), upstream([1, 1, 1], "hash:consumer")
    for number in range(200):
        asked = call(peer=f"192.0.2.{number}")
        found, other = cold.pick((), asked, 101.0), warm.pick((), asked, 101.0)
        assert found is not None and other is not None and found.host == other.host
