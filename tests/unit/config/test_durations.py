"""Durations, sizes and rates: what is read, what is refused and in which words."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.config.durations import (
    YEAR,
    format_duration,
    format_size,
    parse_duration,
    parse_rate,
    parse_size,
    quoted,
)

from .kit import refusal


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("250ms", 0.25), ("25s", 25), ("5m", 300), ("1h", 3600), ("0s", 0), ("1.5s", 1.5), ("0.1ms", 0.0001)],
)
def test_a_duration_is_seconds(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (25, 'is a number without a unit; write a duration in quotes, such as "25s"'),
        (2.5, 'is a number without a unit; write a duration in quotes, such as "25s"'),
        (True, 'is not a duration; write text in quotes, such as "25s"'),
        (["25s"], 'is not a duration; write text in quotes, such as "25s"'),
        ("25", '"25" is not a duration; write a number and ms, s, m or h, such as "25s"'),
        ("-5s", '"-5s" is not a duration; write a number and ms, s, m or h, such as "25s"'),
        ("nans", '"nans" is not a duration; write a number and ms, s, m or h, such as "25s"'),
        ("infs", '"infs" is not a duration; write a number and ms, s, m or h, such as "25s"'),
        ("1e3s", '"1e3s" is not a duration; write a number and ms, s, m or h, such as "25s"'),
        ("25 s", '"25 s" is not a duration; write a number and ms, s, m or h, such as "25s"'),
        ("25s\n", '"25s\\n" is not a duration; write a number and ms, s, m or h, such as "25s"'),
        ("٣s", '"\\u0663s" is not a duration; write a number and ms, s, m or h, such as "25s"'),
        ("", '"" is not a duration; write a number and ms, s, m or h, such as "25s"'),
        ("8761h", '"8761h" is longer than a year; write a shorter duration, such as "1h"'),
    ],
)
def test_what_is_no_duration_is_told_what_to_write(value: object, message: str) -> None:
    assert refusal(parse_duration, value) == message


@given(st.integers(0, int(YEAR * 1000)))
def test_every_duration_that_can_be_written_survives_being_formatted(millis: int) -> None:
    seconds = parse_duration(f"{millis / 1000:.3f}s")
    assert parse_duration(format_duration(seconds)) == seconds


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0s"), (0.25, "250ms"), (25, "25s"), (90, "90s"), (300, "5m"), (7200, "2h"), (52.8125, "52.8125s")],
)
def test_a_duration_is_shown_in_the_largest_unit_without_fraction(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text


def test_no_end_is_shown_as_unbounded() -> None:
    assert format_duration(float("inf")) == "unbounded"


@pytest.mark.parametrize(
    ("text", "size"),
    [("512B", 512), ("16KiB", 16384), ("1MiB", 1 << 20), ("10MB", 10_000_000), ("2kB", 2000), ("1GiB", 1 << 30)],
)
def test_a_size_is_bytes(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (16384, 'is a number without a unit; write a size in quotes, such as "16KiB"'),
        (None, 'is not a size; write text in quotes, such as "16KiB"'),
        ("2TiB", '"2TiB" is not a size; write a whole number and B, KiB, MiB, GiB, kB, MB or GB, such as "16KiB"'),
        ("1.5MiB", '"1.5MiB" is not a size; write a whole number and B, KiB, MiB, GiB, kB, MB or GB, such as "16KiB"'),
        ("99999GiB", '"99999GiB" is more than 1024GiB; write a smaller size, such as "10MiB"'),
    ],
)
def test_what_is_no_size_is_told_what_to_write(value: object, message: str) -> None:
    assert refusal(parse_size, value) == message


@given(st.integers(0, 1 << 40))
def test_every_size_survives_being_formatted(size: int) -> None:
    assert parse_size(format_size(size)) == size


@pytest.mark.parametrize(
    ("text", "rate"),
    [("60/min", (60, 60)), ("10/s", (10, 1)), ("0.5/second", (0.5, 1)), ("5/h", (5, 3600)), ("1/day", (1, 86400))],
)
def test_a_rate_is_a_count_and_seconds(text: str, rate: tuple[float, float]) -> None:
    assert parse_rate(text) == rate


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (60, 'is a number without a unit; write a rate in quotes, such as "60/min"'),
        ("60", '"60" is not a rate; write a number per s, min, hour or day, such as "60/min"'),
        ("60/week", '"60/week" is not a rate; write a number per s, min, hour or day, such as "60/min"'),
        ("0/s", '"0/s" admits nothing; write a rate above 0, such as "60/min"'),
    ],
)
def test_what_is_no_rate_is_told_what_to_write(value: object, message: str) -> None:
    assert refusal(parse_rate, value) == message


@given(st.text())
def test_any_text_is_read_or_refused_with_a_remedy(text: str) -> None:
    for parse in (parse_duration, parse_size, parse_rate):
        said = refusal(parse, text)
        assert said is None or "; write " in said


@given(st.text())
def test_a_quoted_text_is_one_short_line_of_ascii(text: str) -> None:
    shown = quoted(text)
    assert shown.isascii()
    assert shown.isprintable()
