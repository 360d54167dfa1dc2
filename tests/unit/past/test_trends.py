"""Trends: the same numbers as counting by hand, each beside the period before, without gaps."""

from __future__ import annotations

import statistics
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from gateway.past.calls import Record, make_query, records
from gateway.past.source import Means, asked
from gateway.past.trends import BY, NAMES, Trends, aligned, document, trend_document, trends, with_before
from gateway.past.when import Window
from tests.kit import history
from tests.kit.sick_days import NOON, call, poll, write

START = datetime(2025, 1, 15, 12, tzinfo=UTC)
AFTERNOON = Window(START, START + timedelta(hours=12))


def ask(log: Path, by: str, window: Window = AFTERNOON, limit: int = 50) -> Trends:
    return asked(log, with_before(window), lambda past: trends(past, window, by, limit))


def everything(log: Path) -> list[Record]:
    return asked(log, Window(), lambda past: list(records(past, make_query({}, None, "time", 0))))


@pytest.mark.parametrize("by", BY)
def test_every_number_is_that_of_counting_by_hand(day: Path, by: str) -> None:
    window = aligned(AFTERNOON, by)
    calls = [each for each in everything(day) if str(each["time"]) >= f"{window.since:%Y-%m-%dT%H}"]
    for row in ask(day, by, window).rows:
        if by in NAMES:
            mine = [each for each in calls if each.get(by) == row.key]
        else:
            mine = [each for each in calls if str(each["time"]).startswith(str(row.key)[: 13 if by == "hour" else 10])]
        outcomes = [each["outcome"] for each in mine]
        latencies = sorted(float(str(each["news_latency"])) for each in mine if "news_latency" in each)
        now = row.now
        assert (now.calls, now.polls) == (len(mine), sum("dialect" in each for each in mine))
        assert (now.news, now.empty) == (outcomes.count("news"), outcomes.count("empty") + outcomes.count("blank"))
        assert (now.evictions, now.refusals) == (
            outcomes.count("evicted"), outcomes.count("capped") + outcomes.count("rate_limited"))  # fmt: skip
        assert now.errors == sum(str(each).startswith(("upstream_", "overrun")) for each in outcomes)
        assert now.held_seconds == pytest.approx(sum(float(str(each.get("held", 0))) for each in mine), abs=0.01)
        told = now.news + now.empty + outcomes.count("overrun")
        assert now.empty_share == (round(now.empty / told, 6) if told else None)
        assert now.news_p50 == (pytest.approx(statistics.median(latencies), abs=2e-6) if latencies else None)


def test_the_period_before_is_the_one_of_the_same_length(day: Path) -> None:
    found = ask(day, "route")
    assert found.total.before is not None
    assert found.total.now.calls + found.total.before.calls == len(everything(day))
    for row in found.rows:
        assert row.before is not None and row.before.calls > 0


def test_each_hour_stands_beside_the_same_one_before(day: Path) -> None:
    window = Window(START, START + timedelta(hours=1))
    (row,) = ask(day, "hour", window).rows
    (before,) = ask(day, "hour", window.before()).rows
    assert row.before == before.now


def test_hours_without_calls_are_rows_of_zeros(tmp_path: Path) -> None:
    log = tmp_path / "calls.jsonl"
    write(log, iter([call(NOON, "page", "answered"), call(NOON + timedelta(hours=3), "page", "answered")]))
    rows = ask(log, "hour", Window(NOON, NOON + timedelta(hours=4))).rows
    assert [(row.key, row.now.calls) for row in rows] == [
        ("2025-01-15T12:00:00Z", 1),
        ("2025-01-15T13:00:00Z", 0),
        ("2025-01-15T14:00:00Z", 0),
        ("2025-01-15T15:00:00Z", 1),
    ]


def test_names_with_the_most_calls_come_first_and_calls_without_one_are_a_row(tmp_path: Path) -> None:
    log = tmp_path / "calls.jsonl"
    names = ["a", "b", "b", "b", None, None, "<script>"]
    write(log, iter(poll(NOON, "updates", "news", 1.0, consumer=name) for name in names))
    window = Window(NOON, NOON + timedelta(hours=1))
    rows = ask(log, "consumer", window, 3).rows
    assert [(row.key, row.now.calls) for row in rows] == [
        ("b", 3),
        (None, 2),
        ("<script>", 1),
    ]


def test_a_window_begins_with_its_first_hour_or_day() -> None:
    window = Window(START + timedelta(minutes=40), START + timedelta(hours=5, minutes=3))
    assert aligned(window, "hour").since == START
    assert aligned(window, "day").since == START.replace(hour=0)
    assert aligned(window, "route") == window


def test_more_steps_than_anybody_reads_are_refused() -> None:
    with pytest.raises(ValueError, match='more than 1000 hours; write by day, or a later "since"'):
        aligned(Window(START - timedelta(days=50), START), "hour")


def test_a_period_without_calls_has_nothing_to_divide(tmp_path: Path) -> None:
    (tmp_path / "calls.jsonl").touch()
    found = document(ask(tmp_path / "calls.jsonl", "route"))
    assert found["rows"] == []
    assert isinstance(found["total"], dict)
    assert (found["total"]["calls"], found["total"]["empty_share"], found["total"]["news_p99"]) == (0, None, None)


def test_trends_of_lines_are_those_of_parquet(day: Path, tmp_path: Path) -> None:
    history.write_lines(tmp_path / "calls.jsonl", history.Day(4000))
    for by in ("hour", "consumer"):
        assert trend_document(tmp_path / "calls.jsonl", AFTERNOON, by, 50, Means()) == trend_document(
            day, AFTERNOON, by, 50, Means()
        )
