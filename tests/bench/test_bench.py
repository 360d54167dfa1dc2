"""What the bench itself must not get wrong: where an answer ends, who meets a bar, what a median is."""

from __future__ import annotations

import pytest

from tests.kit.holds import shipped

from .asks import BODY, JSON, changed, header, json, query
from .choosing import BALANCES, held
from .measure import Figures, Scale, is_blank, percentile
from .table import Row, added, lay_out, median, render
from .wire import answer_end, request

CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
SIZED = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n[]"


@pytest.mark.parametrize(
    "answer",
    [
        SIZED,
        b"HTTP/1.1 200 OK\r\nX: y\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 204 No Content\r\nX: y\r\n\r\n",
        b"HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n",
        CHUNKED + b"2\r\n[]\r\n0\r\n\r\n",
        CHUNKED + b"0\r\n\r\n",
    ],
)
def test_an_answer_ends_with_its_last_byte_and_not_before(answer: bytes) -> None:
    assert answer_end(answer) == len(answer)
    assert [answer_end(answer[:cut]) for cut in range(len(answer))] == [0] * len(answer)


@pytest.mark.parametrize(
    ("row", "gateway", "naive", "verdict"),
    [
        (Row("k", ""), 99.0, 1.0, ""),
        (Row("k", "", bar=6), 6.0, None, "ok"),
        (Row("k", "", bar=6), 6.1, None, "MISS"),
        (Row("k", "", bar=6), None, 1.0, "MISS"),
        (Row("k", "", bar=6, ratio=0.5), 5.0, 10.0, "ok"),
        (Row("k", "", bar=6, ratio=0.5), 5.0, 9.0, "MISS"),
        (Row("k", "", ratio=0.5), 5.0, None, ""),
        (Row("k", "", bar=1000, at_least=True), 1000.0, 0.0, "ok"),
        (Row("k", "", bar=1000, at_least=True), 999.0, 0.0, "MISS"),
    ],
)
def test_a_row_is_judged_by_its_bars(row: Row, gateway: float | None, naive: float | None, verdict: str) -> None:
    assert row.verdict(gateway, naive) == verdict


def test_a_figure_that_mostly_did_not_come_about_has_no_median() -> None:
    assert median([{"a": 1.0}, {"a": 3.0, "b": None}, {"a": 2.0, "b": 1.0}, {"b": None}]) == {
        "a": 2.0,
        "b": None,
    }


def test_what_limits_cost_is_told_by_neighbours_in_time() -> None:
    without: list[Figures] = [{"short_us": 50.0}, {"hold_kib": 4.0}, {"short_us": 90.0}, {"short_us": 60.0}]
    limited: list[Figures] = [{"short_us": 54.0}, {"short_us": 95.0}, {"hold_kib": 4.5}, {"short_us": 66.0}]
    assert added("limits", without, limited) == {
        "limits_us": 5.0,
        "limits_kib": 0.5,
        "limits_share": pytest.approx(0.08),
    }
    assert added("limits", without, []) == {}


def test_percentiles_are_values_that_occurred() -> None:
    assert [percentile([1.0, 2.0, 3.0, 4.0], share) for share in (0.0, 0.5, 0.99, 1.0)] == [
        1.0,
        3.0,
        4.0,
        4.0,
    ]


def test_the_table_shows_what_was_measured_and_says_what_was_missed() -> None:
    text = render(Scale(), {"hold_kib": 7.5}, {"hold_kib": 20.0, "storm_fin": None})
    hold, storm = text.splitlines()[1:]
    assert hold.split()[-1] == "MISS"
    assert "0.38x" in hold
    assert "never" in storm
    assert [entry["verdict"] for entry in lay_out(Scale(), {"idle_ms": 1.0}, {})] == ["ok"]


@pytest.mark.parametrize(
    ("answer", "blank"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n[]", True),
        (SIZED, False),
        (b"HTTP/1.1 503 x\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n[]", False),
    ],
)
def test_only_the_templates_own_answer_counts_as_no_news(answer: bytes, blank: bool) -> None:
    assert is_blank(answer) is blank


def test_a_request_carries_its_token() -> None:
    assert request("/now", "abc").endswith(b"\r\nAuthorization: Bearer abc\r\n\r\n")


def test_every_wish_that_is_measured_is_one_that_is_rewritten() -> None:
    assert changed(shipped("cursor-updates"), query())
    assert changed(shipped("prefer-wait"), header())
    assert changed(JSON, json())
    assert 1000 < len(BODY) < 1100


@pytest.mark.parametrize("balance", BALANCES.values())
def test_what_is_measured_of_choosing_is_an_even_load(balance: str) -> None:
    made, calls, _ = held(balance, 500)
    assert made.held == len(calls) == 500 and max(one.held for one in made.endpoints) < 20
    assert made.sessions is None or len(made.sessions.pins) == 500
