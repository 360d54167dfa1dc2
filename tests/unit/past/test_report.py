"""The report: its text as a whole, its page as a browser takes it, and nothing in either that came in with a call."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest

from gateway.past.amounts import AMOUNTS, change
from gateway.past.numbers import Numbers
from gateway.past.page import report_page
from gateway.past.report import Report, make_report, report_document
from gateway.past.source import asked
from gateway.past.text import BAR, bar, report_lines
from gateway.past.trends import with_before
from gateway.past.when import Window
from tests.kit.sick_days import NOON, SICK, poll, write

from .test_charts import Parsed

GOLDEN = Path(__file__).parents[2] / "golden" / "report.txt"
START = datetime(2025, 1, 15, 12, tzinfo=UTC)
MADE = datetime(2025, 1, 16, 0, 5, tzinfo=UTC)
EVIL = "<script>alert(1)</script>\"'&\x1b[31m\u2028"


def made(log: Path, window: Window, by: str = "hour", top: int = 5) -> Report:
    return asked(
        log, with_before(window), lambda past: make_report(past, Path("var/calls.jsonl"), MADE, window, by, top)
    )


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory, day: Path) -> Report:
    """Half a day, with an edge that cuts."""
    folder = tmp_path_factory.mktemp("report")
    for each in day.parent.glob("*.parquet"):
        folder.joinpath(each.name).hardlink_to(each)
    write(folder / "calls.jsonl", SICK["edge_cut"]())
    return made(folder / "calls.jsonl", Window(START, START + timedelta(hours=12)))


def test_the_text_is_the_golden_one(report: Report) -> None:
    """UPDATE_GOLDEN=1 writes it anew: look at the difference."""
    text = "\n".join(report_lines(report)) + "\n"
    if os.environ.get("UPDATE_GOLDEN"):
        GOLDEN.write_text(text, "utf-8")
    assert text == GOLDEN.read_text("utf-8")


def test_the_text_fits_a_wide_terminal(report: Report) -> None:
    assert max(map(len, report_lines(report))) <= 132


def test_the_page_needs_nothing_else(report: Report) -> None:
    text = report_page(report)
    found = Parsed(text)
    assert not {tag for tag, _ in found.tags} & {"script", "link", "img", "iframe", "object", "base", "form"}
    assert not [value for _, attrs in found.tags for name, value in attrs.items() if name in ("href", "src", "action")]
    assert set(re.findall(r"https?://[^\"'< ]+", text)) <= {"http://www.w3.org/2000/svg"}
    assert "@import" not in text and "url(" not in text
    (policy,) = [attrs["content"] for tag, attrs in found.tags if attrs.get("http-equiv") == "Content-Security-Policy"]
    assert policy == "default-src 'none'; style-src 'unsafe-inline'"


def test_the_page_says_what_the_text_says(report: Report) -> None:
    found = " ".join(Parsed(report_page(report)).texts)
    assert "polls of route feed are cut by the edge in front at 30.01 s" in found
    assert found.count("12:00") >= 2
    for name in ("updates", "events", "consumer-1", "tenant-2"):
        assert name in found
    assert len(re.findall("<figure", report_page(report))) == 5


def test_names_that_came_with_calls_are_texts_everywhere(tmp_path: Path) -> None:
    log = tmp_path / "calls.jsonl"
    hostile = [each | {"route": EVIL, "consumer": EVIL, "tenant": EVIL} for each in SICK["greedy_client"]()]
    write(log, iter(hostile))
    found = made(log, Window(NOON, NOON + timedelta(hours=2)))
    page = report_page(found)
    assert "<script" not in page
    assert {"script", "b"} & {tag for tag, _ in Parsed(page).tags} == set()
    assert any("<script>alert(1)</script>" in text for text in Parsed(page).texts)
    text = "\n".join(report_lines(found))
    assert "\x1b" not in text and "\u2028" not in text
    assert orjson.loads(orjson.dumps(report_document(found)))["route"][0]["key"] == EVIL


def test_the_document_has_the_trends_by_everything(report: Report) -> None:
    found: dict[str, Any] = orjson.loads(orjson.dumps(report_document(report)))
    assert list(found) == ["since", "until", "total", "before", "log", "made", "hour", "route", "consumer", "tenant",
                           "advice", "notes"]  # fmt: skip
    assert len(found["hour"]) == 12
    assert found["advice"][0]["kind"] == "edge_cut"
    assert sum(row["now"]["calls"] for row in found["hour"]) == found["total"]["calls"]


@pytest.mark.parametrize("lines", [report_lines, lambda report: [report_page(report)]])
def test_a_time_without_calls_says_so(tmp_path: Path, lines: Any) -> None:
    write(tmp_path / "calls.jsonl", iter([poll(NOON, "updates", "news", 1.0)]))
    found = made(tmp_path / "calls.jsonl", Window(NOON + timedelta(days=2), NOON + timedelta(days=3)))
    assert "No calls." in "\n".join(lines(found))


def test_advice_is_about_the_time_that_was_asked_for_and_not_the_one_before(tmp_path: Path) -> None:
    write(tmp_path / "calls.jsonl", SICK["edge_cut"]())
    write(tmp_path / "calls.jsonl", iter([poll(NOON + timedelta(hours=2), "updates", "news", 1.0)]))
    hour = timedelta(hours=1)
    assert made(tmp_path / "calls.jsonl", Window(NOON + hour, NOON + 3 * hour)).advice == ()
    assert len(made(tmp_path / "calls.jsonl", Window(NOON, NOON + 3 * hour)).advice) == 1


@pytest.mark.parametrize(
    ("value", "most", "drawn"), [(0, 10, ""), (10, 10, "█" * BAR), (5, 10, "█" * (BAR // 2)), (1, 80, "▏"), (3, 0, "")]
)
def test_a_bar_is_as_long_as_its_share(value: float, most: float, drawn: str) -> None:
    assert bar(value, most) == drawn


CHANGES: Sequence[tuple[str, Numbers, Numbers | None, str]] = [
    ("calls", Numbers(calls=110), Numbers(calls=100), "+10 %"),
    ("calls", Numbers(calls=50), Numbers(calls=100), "-50 %"),
    ("calls", Numbers(calls=100_001), Numbers(calls=100_000), "="),
    ("calls", Numbers(calls=5), Numbers(), "new"),
    ("calls", Numbers(), Numbers(), "="),
    ("calls", Numbers(calls=5), None, "-"),
    ("empty", Numbers(empty_share=0.62), Numbers(empty_share=0.6), "+2.0 points"),
    ("empty", Numbers(empty_share=0.62), Numbers(), "-"),
    ("news p50", Numbers(news_p50=0.002), Numbers(news_p50=0.001), "+100 %"),
]


@pytest.mark.parametrize(("title", "now", "before", "said"), CHANGES)
def test_a_change_is_told_in_parts_or_points(title: str, now: Numbers, before: Numbers | None, said: str) -> None:
    (amount,) = [each for each in AMOUNTS if each.title == title]
    assert change(amount, now, before) == said
