"""A distribution in buckets: whatever is recorded stands in the bucket a reader expects, and nothing is lost."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.telemetry.histogram import HOLD, NEWS, REQUEST, Histogram, merged

VALUES = st.lists(st.floats(min_value=0, max_value=1000) | st.sampled_from(HOLD), max_size=50)


def of(values: list[float], bounds: tuple[float, ...] = HOLD) -> Histogram:
    found = Histogram(bounds)
    for value in values:
        found.record(value)
    return found


@given(VALUES)
def test_a_bucket_counts_what_is_above_the_bound_before_and_not_above_its_own(values: list[float]) -> None:
    ends = (*HOLD, float("inf"))
    expected = [sum(low < value <= high for value in values) for low, high in zip((-1.0, *HOLD), ends, strict=True)]
    found = of(values)
    assert found.buckets == expected
    assert (found.count, found.sum) == (len(values), pytest.approx(sum(values)))


@given(VALUES, st.sets(st.integers(0, 50)))
def test_whoever_looks_sees_every_value_so_far(values: list[float], looks: set[int]) -> None:
    found = Histogram(HOLD)
    for number, value in enumerate(values, 1):
        found.record(value)
        assert number not in looks or found.buckets == of(values[:number]).buckets


@given(VALUES, VALUES)
def test_two_as_one_are_as_if_all_had_been_recorded_in_one(first: list[float], second: list[float]) -> None:
    both = merged(HOLD, [of(first), of(second)])
    assert both.buckets == of([*first, *second]).buckets
    assert both.sum == pytest.approx(sum(first) + sum(second))


@given(VALUES.filter(bool), st.floats(min_value=0, max_value=1))
def test_a_quantile_lies_in_the_bucket_of_the_value_it_stands_for(values: list[float], share: float) -> None:
    ordered = sorted(values)
    exact = ordered[max(-int(-share * len(values) // 1) - 1, 0)]
    low, high = next(
        ((low, high) for low, high in zip((0.0, *HOLD), HOLD, strict=False) if exact <= high), (HOLD[-1],) * 2
    )
    found = of(values).quantile(share)
    assert found is not None
    assert low <= found <= high or share * len(values) == pytest.approx(round(share * len(values)))


def test_of_nothing_there_is_no_quantile() -> None:
    assert Histogram(HOLD).quantile(0.5) is None


def test_what_was_copied_does_not_change_any_more() -> None:
    live = of([1.0])
    live.mark(1.0, "a" * 32, "1" * 16, 0.0)
    still = live.copy()
    live.record(1.0)
    live.mark(1.0, "b" * 32, "2" * 16, 1.0)
    assert (still.count, still.exemplars) == (1, {2: ("a" * 32, "1" * 16, 1.0, 0.0)})


def test_the_last_kept_trace_of_a_bucket_is_its_example() -> None:
    live = of([0.2, 0.3, 700.0])
    live.mark(0.2, "a" * 32, "1" * 16, 1.0)
    live.mark(0.3, "b" * 32, "2" * 16, 2.0)
    live.mark(700.0, "c" * 32, "3" * 16, 3.0)
    assert live.exemplars == {1: ("b" * 32, "2" * 16, 0.3, 2.0), len(HOLD): ("c" * 32, "3" * 16, 700.0, 3.0)}


@pytest.mark.parametrize("bounds", [REQUEST, HOLD, NEWS])
def test_bounds_rise(bounds: tuple[float, ...]) -> None:
    assert list(bounds) == sorted(set(bounds)) and bounds[0] > 0
