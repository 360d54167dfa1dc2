"""The arithmetic of rates: tables, and a comparison with a bucket that counts its tokens one by one in fractions."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.state.bucket import FULL, Level, Rate, bound, give_back, level, take, wait

A_SECOND = Rate(1.0, 3)  # one token a second, three at once
HAIR = 1e-3  # of a token


def taken(rate: Rate, *instants: float) -> float:
    """A bucket from which a token was taken at each of the instants."""
    full_at = FULL
    for now in instants:
        after = take(full_at, rate, now)
        assert after is not None
        full_at = after
    return full_at


@pytest.mark.parametrize(
    ("instants", "now", "left", "reset", "waits"),
    [
        ((), 100, 3, 0, 0),
        ((100,), 100, 2, 1, 0),
        ((100, 100), 100, 1, 1, 0),
        ((100, 100, 100), 100, 0, 1, 1),
        ((100, 100, 100), 100.25, 0, 0.75, 0.75),
        ((100, 100, 100), 101, 1, 1, 0),
        ((100, 100, 100), 102.5, 2, 0.5, 0),
        ((100, 100, 100), 103, 3, 0, 0),
        ((100, 101, 102), 102, 2, 1, 0),
        ((100,), 1e9, 3, 0, 0),
    ],
)
def test_a_bucket_says_what_is_left_and_when_one_more_will_be(
    instants: tuple[float, ...], now: float, left: int, reset: float, waits: float
) -> None:
    full_at = taken(A_SECOND, *instants)
    assert level(full_at, A_SECOND, now) == Level(left, pytest.approx(reset))
    assert wait(full_at, A_SECOND, now) == pytest.approx(waits)
    assert (take(full_at, A_SECOND, now) is None) is (left == 0)


def test_an_empty_bucket_gives_nothing_until_the_wait_is_over() -> None:
    full_at = taken(A_SECOND, 100, 100, 100)
    assert take(full_at, A_SECOND, 100.999) is None
    assert take(full_at, A_SECOND, 101) is not None


@pytest.mark.parametrize("interval", [1e-6, 1e-4, 0.01, 1 / 3, 60.0, 86400.0])
@pytest.mark.parametrize("now", [0.1, 12345.678, 1e6 / 3, 9_999_999.9])
def test_a_full_bucket_of_one_always_gives(interval: float, now: float) -> None:
    assert take(FULL, Rate(interval, 1), now) is not None
    assert take(now, Rate(interval, 1), now) is not None
    assert wait(FULL, Rate(interval, 1), now) == 0


@pytest.mark.parametrize(("instants", "back", "left"), [((100,), 1, 3), ((100,), 5, 3), ((100, 100, 100), 1, 1)])
def test_a_refund_is_worth_what_it_cost_and_never_overfills(instants: tuple[float], back: int, left: int) -> None:
    full_at = taken(A_SECOND, *instants)
    for _ in range(back):
        full_at = give_back(full_at, A_SECOND, 100)
    assert level(full_at, A_SECOND, 100).left == left


def test_a_full_bucket_keeps_no_refund_for_later() -> None:
    full_at = give_back(FULL, A_SECOND, 100)
    assert sum(take(each, A_SECOND, 100) is not None for each in [full_at]) == 1
    for _ in range(3):
        after = take(full_at, A_SECOND, 100)
        assert after is not None
        full_at = after
    assert take(full_at, A_SECOND, 100) is None


def test_a_bucket_that_owes_more_than_a_new_rule_allows_has_nothing_left() -> None:
    owing = taken(Rate(1.0, 10), *[100.0] * 10)
    smaller = Rate(1.0, 2)
    assert level(owing, smaller, 100) == Level(0, pytest.approx(9))
    assert wait(owing, smaller, 100) == pytest.approx(9)
    assert take(owing, smaller, 108.9) is None
    assert take(owing, smaller, 109) is not None


def test_a_bucket_is_never_emptier_than_empty_for_longer_than_its_rule() -> None:
    owing = taken(Rate(1000.0, 10), *[100.0] * 10)
    faster = Rate(0.5, 4)
    assert level(bound(owing, faster, 100), faster, 100) == Level(0, pytest.approx(0.5))
    assert bound(100 + 2.0, faster, 100) == 102.0, "what may be owed is left alone"
    assert bound(FULL, faster, 100) == FULL


def test_the_smallest_debt_is_still_a_full_bucket() -> None:
    assert level(100 + 1e-9, A_SECOND, 100) == Level(3, 0)


class Naive:
    """A bucket that counts tokens, exactly."""

    def __init__(self, rate: Rate) -> None:
        self.interval = Fraction(rate.interval)
        self.burst = rate.burst
        self.tokens = Fraction(rate.burst)
        self.now = Fraction(0)

    def at(self, now: float) -> None:
        self.tokens = min(Fraction(self.burst), self.tokens + (Fraction(now) - self.now) / self.interval)
        self.now = Fraction(now)


RATES = st.builds(Rate, st.floats(1e-3, 1e4), st.integers(1, 50))
STEPS = st.lists(st.tuples(st.sampled_from(["take", "take", "take", "back"]), st.floats(0, 3)), max_size=60)


@given(rate=RATES, begin=st.floats(0, 1e6), steps=STEPS)
def test_it_counts_like_a_bucket_that_counts_every_token(
    rate: Rate, begin: float, steps: list[tuple[str, float]]
) -> None:
    naive, full_at, now = Naive(rate), FULL, begin
    naive.at(now)
    for what, intervals in steps:
        now += intervals * rate.interval
        naive.at(now)
        if what == "back":
            full_at = give_back(full_at, rate, now)
            naive.tokens = min(Fraction(rate.burst), naive.tokens + 1)
        else:
            after = take(full_at, rate, now)
            near = abs(naive.tokens - 1) < HAIR
            assert near or (after is not None) == (naive.tokens >= 1)
            if after is None:
                assert wait(full_at, rate, now) / rate.interval == pytest.approx(float(1 - naive.tokens), abs=HAIR)
            else:
                full_at = after
                naive.tokens -= 1
        shown = level(full_at, rate, now)
        assert abs(shown.left + 0.5 - float(naive.tokens)) <= 0.5 + HAIR
        full = naive.tokens > rate.burst - HAIR
        assert full or float(naive.tokens) + shown.reset / rate.interval == pytest.approx(shown.left + 1, abs=HAIR)
        assert 0 <= shown.left <= rate.burst and 0 <= shown.reset <= rate.interval * (1 + HAIR)


@given(rate=RATES, begin=st.floats(0, 1e6), gaps=st.lists(st.floats(0, 2), max_size=30))
def test_after_the_wait_it_gives_and_never_more_than_the_rate_and_the_burst(
    rate: Rate, begin: float, gaps: list[float]
) -> None:
    now, full_at, given_out = begin, FULL, 0
    for gap in gaps:
        now += gap * rate.interval
        while (after := take(full_at, rate, now)) is not None:
            full_at = after
            given_out += 1
        now += wait(full_at, rate, now)
        assert take(full_at, rate, now) is not None
    assert given_out <= rate.burst + (now - begin) / rate.interval + HAIR
