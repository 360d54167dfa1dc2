"""The arithmetic of ejection: what is a strike and what never is, when they are too many, how long an endpoint stays
out and how many may be out together.
"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.outcome import ENDINGS, Blame, Outcome
from gateway.upstream.ejection import LONGEST_OUT, Ejection, Strikes, in_a_row, is_strike, lasts, may_eject

RULES = Ejection(strikes=3, within=10.0, lasts=30.0, max_share=0.5, status=frozenset({503}))
FAULT = Outcome.UPSTREAM_REFUSED


def struck(*instants: float, rules: Ejection = RULES, outcome: Outcome = FAULT) -> list[bool]:
    strikes = Strikes()
    return [strikes.add(rules, outcome, now) for now in instants]


# -- what counts -------------------------------------------------------------------------------------------------------

WHAT = [
    (Outcome.UPSTREAM_REFUSED, 0, True),
    (Outcome.UPSTREAM_RESET, 502, True),
    (Outcome.UPSTREAM_BAD, 502, True),
    (Outcome.UPSTREAM_TIMEOUT, 504, True),
    (Outcome.TRUNCATED, 200, True),
    (Outcome.UPSTREAM_ERROR, 503, True),  # the operator's choice
    (Outcome.UPSTREAM_ERROR, 500, False),
    (Outcome.ANSWERED, 200, False),
    (Outcome.ANSWERED, 404, False),
    (Outcome.NEWS, 200, False),
    (Outcome.STREAMED, 200, False),
    (Outcome.EMPTY, 204, False),
    (Outcome.EMPTY, 503, False),  # a dialect's word for "no news"
    (Outcome.BLANK, 200, None),
    (Outcome.CLIENT_GONE, 0, None),
    (Outcome.CLIENT_TIMEOUT, 408, None),
    (Outcome.EVICTED, 200, None),
    (Outcome.SUPERSEDED, 200, None),
    (Outcome.DRAINED, 503, None),
    (Outcome.EXPIRED, 200, None),
    (Outcome.REVOKED, 401, None),
    (Outcome.OVERLOADED, 503, None),  # our own, though the status is listed
    (Outcome.INTERNAL_ERROR, 500, None),
]


@pytest.mark.parametrize(("outcome", "status", "expected"), WHAT)
def test_what_an_ending_says_of_its_endpoint(outcome: Outcome, status: int, expected: bool | None) -> None:
    assert is_strike(RULES, outcome, status, 0) is expected


@pytest.mark.parametrize(("overruns", "expected"), [(1, None), (2, None), (3, True), (4, True)])
def test_overruns_are_strikes_from_the_third_in_a_row_on(overruns: int, expected: bool | None) -> None:
    assert is_strike(RULES, Outcome.OVERRUN, 200, overruns) is expected


@given(st.sampled_from(Outcome), st.integers(100, 599), st.integers(0, 9), st.sets(st.integers(100, 599)))
def test_nobody_is_struck_for_what_others_did(outcome: Outcome, status: int, overruns: int, chosen: set[int]) -> None:
    if is_strike(Ejection(status=frozenset(chosen)), outcome, status, overruns):
        assert ENDINGS[outcome].blame is Blame.UPSTREAM or status in chosen
        assert outcome not in (Outcome.EMPTY, Outcome.BLANK, Outcome.EVICTED, Outcome.DRAINED, Outcome.CLIENT_GONE)


# -- when they are too many --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("instants", "expected"),
    [
        ((0, 1, 2), [False, False, True]),
        ((0, 5, 10), [False, False, True]),
        ((0, 5, 10.1), [False, False, False]),
        ((0, 9, 18, 19), [False, False, False, True]),  # the last three are close together
        ((0, 100, 101, 102), [False, False, False, True]),
        ((0, 0, 0, 0), [False, False, True, True]),
    ],
)
def test_strikes_have_to_come_within_the_time(instants: tuple[float, ...], expected: list[bool]) -> None:
    assert struck(*instants) == expected


def test_an_answer_between_wipes_them_out() -> None:
    strikes = Strikes()
    for now in (0, 1):
        assert not strikes.add(RULES, FAULT, now)
    strikes.clear()
    assert [strikes.add(RULES, FAULT, now) for now in (2, 3, 4)] == [False, False, True]


def test_the_time_that_calls_wait_in_vain_does_not_count() -> None:
    """One caller after the other, each waiting 30 s: an endpoint where everything hangs is found out."""
    strikes = Strikes()
    found = [strikes.add(RULES, Outcome.UPSTREAM_TIMEOUT, at + 30, since=at) for at in (0, 30, 61)]
    assert found == [False, False, True]


def test_the_time_between_such_calls_does() -> None:
    strikes = Strikes()
    assert not any(strikes.add(RULES, Outcome.UPSTREAM_TIMEOUT, at + 30, since=at) for at in (0, 36, 72))


def test_calls_that_hang_together_count_each() -> None:
    strikes = Strikes()
    assert [strikes.add(RULES, Outcome.UPSTREAM_TIMEOUT, 30 + at, since=at) for at in (0, 1, 2)] == [False, False, True]


@pytest.mark.parametrize("outcome", [Outcome.UPSTREAM_RESET, Outcome.TRUNCATED])
def test_all_that_dies_with_a_process_is_one_strike(outcome: Outcome) -> None:
    strikes = Strikes()
    assert not any(strikes.add(RULES, outcome, 50.0, since=float(at)) for at in range(50))
    assert len(strikes) == 1
    assert [strikes.add(RULES, outcome, now, since=now - 0.1) for now in (51, 52)] == [False, True]


def test_calls_that_die_late_one_generation_after_the_other_are_found_out() -> None:
    strikes = Strikes()
    found = [strikes.add(RULES, Outcome.UPSTREAM_RESET, at + 8.0, since=at) for at in (0, 0.5, 8.1, 8.2, 16.2)]
    assert found == [False, False, False, False, True]


@given(st.lists(st.tuples(st.floats(0, 20), st.floats(0, 40)), max_size=40), st.integers(1, 6), st.floats(0.1, 30))
def test_a_run_that_is_too_long_for_the_time_never_counts(moves: list[tuple[float, float]], most: int,
                                                          within: float) -> None:  # fmt: skip
    rules = Ejection(strikes=most, within=within)
    strikes, now = Strikes(), 0.0
    for gap, waits in moves:
        began = now + gap
        now = began + waits
        too_many = strikes.add(rules, Outcome.UPSTREAM_TIMEOUT, now, since=began)
        assert 1 <= len(strikes) <= most
        assert too_many is (len(strikes) == most)
        assert strikes._places[-1] - strikes._places[0] <= within


@given(st.lists(st.floats(0, 5), min_size=1, max_size=30))
def test_waiting_only_ever_makes_it_easier(gaps: list[float]) -> None:
    plain, waited, now = Strikes(), Strikes(), 0.0
    for gap in gaps:
        now += gap
        if plain.add(RULES, FAULT, now):
            assert waited.add(RULES, FAULT, now, since=now - gap / 2)
        else:
            waited.add(RULES, FAULT, now, since=now - gap / 2)


# -- for how long, and how many ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("base", "times", "expected"),
    [(30, 1, 30), (30, 2, 60), (30, 4, 240), (30, 5, LONGEST_OUT), (30, 10**9, LONGEST_OUT), (900, 1, 900),
     (900, 9, 900)],
)  # fmt: skip
def test_each_ejection_in_a_row_lasts_twice_as_long_up_to_a_bound(base: float, times: int, expected: float) -> None:
    assert lasts(Ejection(lasts=base), times) == expected


@pytest.mark.parametrize(
    ("times", "back", "lasted", "now", "expected"),
    [(0, None, 0.0, 5.0, 1), (1, 100.0, 30.0, 120.0, 2), (1, 100.0, 30.0, 131.0, 1), (3, 100.0, 240.0, 300.0, 4)],
)
def test_one_that_held_out_as_long_as_it_was_out_begins_anew(
    times: int, back: float | None, lasted: float, now: float, expected: int
) -> None:
    assert in_a_row(times, back, lasted, now) == expected


@pytest.mark.parametrize(
    ("share", "out", "members", "expected"),
    [
        (0.5, 0, 1, False), (1.0, 0, 1, False), (0.5, 0, 2, True), (0.5, 1, 2, False), (1.0, 1, 2, False),
        (0.5, 0, 3, True), (0.5, 1, 3, False), (0.1, 0, 3, False), (0.29, 28, 100, True), (0.29, 29, 100, False),
        (0.0, 0, 9, False), (1.0, 3, 4, False), (1.0, 2, 4, True),
    ],
)  # fmt: skip
def test_some_always_stay_in(share: float, out: int, members: int, expected: bool) -> None:
    assert may_eject(Ejection(max_share=share), out, members) is expected


@given(st.floats(0, 1), st.integers(1, 200))
def test_ejecting_while_one_may_never_takes_out_more_than_the_share(share: float, members: int) -> None:
    rules, out = Ejection(max_share=share), 0
    while may_eject(rules, out, members):
        out += 1
    assert out <= share * members + 1e-6 and out < members
