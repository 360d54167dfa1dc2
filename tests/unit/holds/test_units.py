"""Waits as text: what is read, what is malformed, what is written."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.holds import units


@pytest.mark.parametrize(
    ("text", "unit", "wait"),
    [
        ("10", "s", 10.0), ("2.5", "s", 2.5), (".5", "s", 0.5), ("5.", "s", 5.0), ("+5", "s", 5.0),
        (" 5 ", "s", 5.0), ("-5", "s", -5.0), ("0", "s", 0.0), ("1e3", "s", None), ("abc", "s", None),
        ("", "s", None), ("NaN", "s", None), ("inf", "s", None), ("-inf", "s", None), ("1_0", "s", None),
        ("٣", "s", None), ("10s", "s", None), ("5,5", "s", None), ("9" * 10_000, "s", None),
        ("30000", "ms", 30.0), ("29", "ms", 0.029), ("x", "ms", None),
        ("10s", "duration", 10.0), ("1m30s", "duration", 90.0), ("500ms", "duration", 0.5), ("1h", "duration", 3600.0),
        ("1.5m", "duration", 90.0), ("2us", "duration", 2e-6), ("2µs", "duration", 2e-6), ("-5s", "duration", -5.0),
        ("0", "duration", 0.0), ("10", "duration", None), ("10 s", "duration", None), ("s", "duration", None),
        ("1d", "duration", None), ("", "duration", None), ("1m" * 40, "duration", None), ("10S", "duration", None),
    ],
)  # fmt: skip
def test_a_wish_is_read_in_its_unit_or_is_malformed(text, unit, wait):
    assert units.seconds(text, unit) == (pytest.approx(wait) if wait is not None else None)


@pytest.mark.parametrize(
    ("wait", "unit", "text"),
    [
        (10.0, "s", "10"), (10.9, "s", "10"), (0.9, "s", "0"), (12 - 1e-12, "s", "12"),
        (0.029, "ms", "29"), (1.2345, "ms", "1234"), (12.0, "duration", "12s"), (1.5, "duration", "1500ms"),
        (300.0, "duration", "300s"),
    ],
)  # fmt: skip
def test_a_wait_is_written_rounded_down(wait, unit, text):
    assert units.render(wait, unit) == text


@given(st.floats(0, 1e6), st.sampled_from(["s", "ms", "duration"]))
def test_what_is_written_reads_back_as_no_more_and_less_than_a_step_below(wait, unit):
    read = units.seconds(units.render(wait, unit), unit)
    assert read is not None
    assert wait - units.SMALLEST[unit] - 1e-6 <= read <= wait + 1e-5


@given(st.text(max_size=40), st.sampled_from(["s", "ms", "duration"]))
def test_any_text_is_finite_or_malformed(text, unit):
    wait = units.seconds(text, unit)
    assert wait is None or abs(wait) < 1e36
