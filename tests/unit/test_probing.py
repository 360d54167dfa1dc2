"""What active probes do to an endpoint: when they are due, and what so many of a kind in a row make of it."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.clock import TICK
from gateway.upstream.endpoint import Endpoint
from gateway.upstream.health import JITTER
from gateway.upstream.standing import EJECTION, HEALTH
from tests.kit.watched import PROBES, Watched

# -- probes ------------------------------------------------------------------------------------------------------------


@given(st.randoms(use_true_random=False), st.integers(1, 20))
def test_every_member_is_probed_once_in_an_interval_and_not_all_at_once(chance: Any, members: int) -> None:
    seen = Watched(members, probes=PROBES, chance=chance.random)
    seen.loop.advance(50.0)
    for endpoint in seen.upstream.endpoints:
        at = [when for which, when in seen.probed if which is endpoint]
        assert at[0] <= PROBES.interval + 2 * TICK
        gaps = [later - sooner for sooner, later in pairwise(at)]
        assert all(abs(gap - 5.0) <= 5.0 * JITTER + 2 * TICK for gap in gaps) and len(gaps) >= 7


def test_a_member_that_joins_is_probed_within_an_interval() -> None:
    seen = Watched(2, probes=PROBES)
    seen.loop.advance(12.0)
    new = Endpoint(seen.upstream, "new", 80)
    seen.upstream.become((*seen.upstream.endpoints, new))
    seen.loop.advance(5.2)
    assert new in [which for which, _ in seen.probed]


@pytest.mark.parametrize(
    ("found", "out"),
    [
        ("bb", False), ("bbb", True), ("bbgbb", False), ("bbgbbb", True), ("bbbg", True), ("bbbgg", False),
        ("bbbgbg", True), ("bbbbbb", True), ("ggg", False),
    ],
)  # fmt: skip
def test_so_many_of_a_kind_in_a_row_decide(found: str, out: bool) -> None:
    seen = Watched(probes=PROBES)
    seen.find(seen[0], *(each == "g" for each in found))
    assert (seen.out() == ["h0"]) is out
    assert seen.kinds.count("probe") == ("bbb" in found)


def test_good_probes_end_the_first_ejection_but_not_the_next() -> None:
    seen = Watched(probes=PROBES)
    seen.find(seen[0], True)  # before it was ejected: that does not count
    seen.strike(seen[0])
    seen.find(seen[0], True)
    assert seen.out() == ["h0"]
    seen.find(seen[0], True)
    assert seen.out() == [] and seen.events[-1].why == EJECTION
    seen.strike(seen[0])
    seen.find(seen[0], True, True, True)
    assert seen.out() == ["h0"] and seen.events[-1].times == 2
    seen.loop.advance(61.0)
    assert seen.out() == []


def test_one_with_two_reasons_is_back_when_both_are_gone() -> None:
    seen = Watched(probes=PROBES)
    seen.strike(seen[0])
    seen.find(seen[0], False, False, False)
    seen.loop.advance(31.0)
    assert seen[0].out == {HEALTH} and seen.kinds == ["eject", "probe"]
    seen.find(seen[0], True, True)
    assert seen.out() == [] and (seen.kinds[-1], seen.events[-1].why) == ("restore", HEALTH)


def test_when_the_probes_say_that_all_are_ill_all_take_calls() -> None:
    seen = Watched(3, probes=PROBES)
    for endpoint in seen.upstream.endpoints:
        seen.find(endpoint, False, False, False)
    assert [event.taking for event in seen.events] == [2, 1, 0]
    assert seen.upstream.choice == seen.upstream.endpoints
    seen.find(seen[1], True, True)
    assert seen.upstream.choice == (seen[1],)


def test_one_that_an_operator_took_out_stays_out_where_others_are_only_ill() -> None:
    seen = Watched(2, probes=PROBES)
    seen.upstream.take_out(seen[0], "drained")
    seen.find(seen[1], False, False, False)
    assert seen.upstream.choice == (seen[1],)
    assert seen.upstream.pick((seen[1],)) is None
    seen.upstream.put_back(seen[0], "drained")
    assert seen.upstream.choice == (seen[0],) and seen.upstream.pick((seen[0],)) is seen[1]


def test_a_result_that_comes_when_nobody_asks_any_more_says_nothing() -> None:
    seen = Watched(3, probes=PROBES)
    gone = seen[2]
    seen.upstream.become(seen.upstream.endpoints[:2])
    seen.find(gone, False, False, False)
    seen.upstream.health = None
    seen.find(seen[0], False, False, False)
    assert seen.events == [] and seen[0].standing.probe is None
