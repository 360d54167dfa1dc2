"""What `gateway top` shows: times a person reads, one printable line a cell, and sense in whatever was told."""

# What a person reads stays in one piece here, however long, so that it can be searched for.
# ruff: noqa: E501

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.admin.listing import SORTS
from gateway.top.plain import render, table
from gateway.top.view import COLUMNS, Seen, by_route, by_worker, row, seconds, shown, state

CALL = {"id": "1", "route": "updates", "consumer": "alice", "state": "parked", "since": 61.2, "ends_in": None, "endpoint": "h:80", "peer": "192.0.2.7"}  # fmt: skip
OVERVIEW = {
    "detail": "serving", "held": {"total": 3, "waiting": 1, "routes": [
        {"route": "a", "parked": 0, "waiting": 1}, {"route": "b", "parked": 2, "waiting": 0}]},
    "connections": {"open": 4, "limit": 100},
}  # fmt: skip
RATES = [{"route": "b", "outcome": "news", "per_second": 2.0}, {"route": "b", "outcome": "blank", "per_second": 0.5},
         {"route": "b", "outcome": "upstream_timeout", "per_second": 0.25}]  # fmt: skip


@pytest.mark.parametrize(
    ("value", "told"),
    [(0, "0.0s"), (3.14159, "3.1s"), (-2.0, "0.0s"), (59.94, "59.9s"), (60, "1m00s"), (3599, "59m59s"), (3600, "1h00m"),
     (90_061, "25h01m"), (None, "-"), ("x", "-"), (True, "-")],
)  # fmt: skip
def test_times_are_told_as_a_person_reads_them(value: object, told: str) -> None:
    assert seconds(value) == told


def test_a_call_is_a_line_of_the_table() -> None:
    assert row(CALL) == ["updates", "alice", "parked", "1m01s", "-", "h:80", "192.0.2.7"]


def test_every_column_can_be_sorted_by() -> None:
    assert {column.key for column in COLUMNS} <= set(SORTS)


def test_the_gateway_is_told_in_a_line() -> None:
    assert state(Seen({}, OVERVIEW)) == "serving, 3 held (1 waiting), 4 of 100 connections"
    assert state(Seen({}, {**OVERVIEW, "rates": RATES})).endswith(", 2.8 calls/s")
    assert state(Seen()) == "-, - held (- waiting), - of - connections"


def test_endpoints_that_are_out_are_told_first() -> None:
    out = {"upstream": "up", "endpoint": "h:80", "state": "out", "why": ["ejection"]}
    well = {"upstream": "up", "endpoint": "h:81", "state": "in", "why": []}

    def told(*endpoints: Any) -> str:
        return state(Seen({}, {**OVERVIEW, "held": {**OVERVIEW["held"], "endpoints": list(endpoints)}}))  # type: ignore[dict-item]

    assert told(well) == state(Seen({}, OVERVIEW))
    assert told(well, out).startswith("serving, up h:80 out (ejection), 3 held")
    assert told(out, well, {**out, "why": None}, "?").startswith("serving, up h:80 and 1 more out (ejection), 3 held")


def test_routes_are_told_with_the_most_held_first() -> None:
    assert by_route(Seen({}, OVERVIEW)) == [["b", "2", "0", *["-"] * 4], ["a", "0", "1", *["-"] * 4]]
    assert by_route(Seen({}, {**OVERVIEW, "rates": RATES}))[0] == ["b", "2", "0", "2.8", "2.0", "0.5", "0.2"]


@pytest.mark.parametrize(
    ("held", "sort", "filtered", "told"),
    [
        ({"held": 9, "matching": 9, "calls": [CALL] * 9}, "-since", "", "9 held, by since, longest first"),
        ({"held": 9, "matching": 1, "calls": [CALL]}, "route", "al", "1 of 9 match 'al', by route, a to z"),
        ({"held": 9, "matching": 8, "calls": [CALL]}, "-peer", "x", "8 of 9 match 'x', the first 1 shown, by peer, z to a"),
    ],
)  # fmt: skip
def test_what_part_is_shown_is_told(held: dict[str, Any], sort: str, filtered: str, told: str) -> None:
    assert shown(Seen(held), sort, filtered) == told


WORKERS = [
    {"worker": 0, "pid": 11, "state": "ready", "since": 75.0, "restarts": 0, "held": 2, "connections": 3, "memory": 73 << 20},
    {"worker": 1, "pid": None, "state": "ended", "since": 0.5, "restarts": 4, "held": None, "connections": None, "memory": None},
]  # fmt: skip


def test_workers_are_told_where_several_serve() -> None:
    seen = Seen({}, {**OVERVIEW, "workers": WORKERS, "missing": [{"worker": 1, "why": "has ended"}]})
    assert by_worker(seen) == [
        ["0", "ready", "2", "3", "73", "1m15s", "0", "11"],
        ["1", "ended", "-", "-", "-", "0.5s", "4", "-"],
    ]
    assert state(seen).startswith("serving, without worker 1, 3 held")
    assert "worker  state" in render("here", seen, "-since", "")
    assert by_worker(Seen({}, OVERVIEW)) == [] and "worker" not in render("here", Seen({}, OVERVIEW), "-since", "")


def test_plain_columns_are_as_wide_as_what_is_in_them() -> None:
    assert table(["a", "bcd"], [["123", "4"], ["", "5"]]) == ["a    bcd", "123  4", "     5"]


VALUES = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(
        ["calls", "held", "routes", "route", "parked", "waiting", "connections", "open", "rates", "per_second",
         "outcome", "matching", "endpoints", "endpoint", "state", "why", "upstream", "total", "detail", "consumer", "since", "id"]), inner, max_size=5), max_leaves=20,
)  # fmt: skip


@given(held=st.dictionaries(st.sampled_from(["calls", "held", "matching", "next"]), VALUES), overview=st.dictionaries(
    st.sampled_from(["detail", "held", "connections", "rates", "missing"]), VALUES))  # fmt: skip
def test_whatever_was_told_is_lines_of_printable_text(held: dict[str, Any], overview: dict[str, Any]) -> None:
    seen = Seen(held, overview)
    lines = render("here", seen, "-since", "x").split("\n")
    assert all(line.isprintable() for line in lines)
    assert len(lines) == 2 + bool(seen.calls) * (2 + len(seen.calls))
    assert all(cell.isprintable() for line in by_route(seen) for cell in line)
