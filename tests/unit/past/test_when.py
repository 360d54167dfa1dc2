"""Instants and windows: durations ago, days, timestamps with and without a zone, and what is refused."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.past.when import Window, parse_instant, parse_window, span

NOW = datetime(2025, 1, 15, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("1h", datetime(2025, 1, 15, 11, tzinfo=UTC)),
        ("90s", datetime(2025, 1, 15, 11, 58, 30, tzinfo=UTC)),
        ("2d", datetime(2025, 1, 13, 12, tzinfo=UTC)),
        ("2025-01-14", datetime(2025, 1, 14, tzinfo=UTC)),
        ("2025-01-14T09:30", datetime(2025, 1, 14, 9, 30, tzinfo=UTC)),
        ("2025-01-14T09:30:00Z", datetime(2025, 1, 14, 9, 30, tzinfo=UTC)),
        ("2025-01-14T09:30:00+02:00", datetime(2025, 1, 14, 7, 30, tzinfo=UTC)),
        ("0001-01-01", datetime(1970, 1, 1, tzinfo=UTC)),
    ],
)
def test_an_instant_is_a_time_ago_or_a_time(text: str, instant: datetime) -> None:
    assert parse_instant(text, NOW) == instant


@pytest.mark.parametrize("text", ["", "1", "yesterday", "1w", "-1h", "2025-13-01", "1h; DROP TABLE calls", "nan"])
def test_what_is_no_instant_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match=r'neither a duration nor a time; write such as "1h", "2d" or "2025'):
        parse_instant(text, NOW)


@given(st.text(max_size=20))
def test_nothing_but_a_sentence_comes_of_any_text(text: str) -> None:
    try:
        found: object = parse_instant(text, NOW).tzinfo
    except ValueError as error:
        found = str(error)
    assert found is UTC or "; write " in str(found)


def test_a_window_that_ends_before_it_begins_is_refused() -> None:
    with pytest.raises(ValueError, match='"1h" is not before --until "2h"; write an earlier --since'):
        parse_window("1h", "2h", NOW)


def test_a_window_without_bounds_is_everything_up_to_now() -> None:
    window = parse_window(None, None, NOW)
    assert window.since.year == 1970
    assert NOW < window.until <= NOW + timedelta(seconds=1)


def test_the_window_before_is_as_long_and_ends_where_this_one_begins() -> None:
    window = Window(NOW - timedelta(hours=6), NOW)
    assert window.before() == Window(NOW - timedelta(hours=12), NOW - timedelta(hours=6))


def test_days_are_a_span_too() -> None:
    assert (span("2d"), span("1.5h"), span("two")) == (timedelta(days=2), timedelta(hours=1.5), None)
