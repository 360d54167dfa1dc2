"""The readings of one instant: bounded, and stable from one to the next, as whoever takes the rate of them needs it."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.outcome import Outcome
from gateway.telemetry.histogram import Histogram
from gateway.telemetry.instruments import INSTRUMENTS, Gauges, Instrument
from gateway.telemetry.series import OVERFLOW, Labels, Series
from gateway.telemetry.tallies import RouteTally
from gateway.telemetry.workers import WORKERS
from tests.kit.metrics import gauges

EVERY = (*INSTRUMENTS, *WORKERS)


def points(series: Series, seen: Gauges, name: str) -> dict[Labels, object]:
    return next(dict(reading.points) for reading in series.read(seen) if reading.instrument.name == name)


def test_where_everything_has_happened_every_metric_has_a_series() -> None:
    assert not [reading.instrument.name for reading in Series().read(gauges()) if not reading.points]


@pytest.mark.parametrize("instrument", EVERY, ids=lambda instrument: instrument.name)
def test_a_metric_is_well_described(instrument: Instrument) -> None:
    assert re.fullmatch(r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)+", instrument.name)
    assert instrument.help.endswith(".")
    assert instrument.unit in ("", "s", "By") or re.fullmatch(r"{\w+}", instrument.unit)
    assert (instrument.kind == "histogram") == bool(instrument.bounds)


def test_no_two_metrics_have_the_same_name_anywhere() -> None:
    assert len({each.name for each in EVERY}) == len({each.family for each in EVERY}) == len(EVERY)


def test_an_empty_label_is_no_label() -> None:
    found = points(Series(), gauges(), "http.server.request.duration")
    assert (("http.request.method", "_OTHER"), ("http.response.status_code", 404), ("url.scheme", "http")) in found


def test_spans_are_told_only_where_there_are_any() -> None:
    assert points(Series(), gauges(spans=None), "longpoll.spans.kept") == {}


def test_what_is_beyond_the_bound_adds_up_to_one_series() -> None:
    seen = gauges()
    assert seen.tallies is not None
    for number in range(10):
        tally = seen.tallies.routes[f"r{number}"] = RouteTally()
        tally.outcomes[Outcome.NEWS] = 5
        tally.work.record(1.0)
    calls = points(Series(6), seen, "longpoll.calls")
    work = points(Series(6), seen, "longpoll.work.duration")
    assert (len(calls), len(work)) == (7, 7)
    assert isinstance(work[OVERFLOW], Histogram) and work[OVERFLOW].count == 6
    whole = points(Series(), seen, "longpoll.calls").values()
    assert sum(int(str(value)) for value in calls.values()) == sum(int(str(value)) for value in whole)


def test_requests_that_were_not_told_apart_are_in_the_overflow() -> None:
    seen = gauges()
    assert seen.tallies is not None
    seen.tallies.other_requests.record(1.0)
    found = points(Series(), seen, "http.server.request.duration")[OVERFLOW]
    assert isinstance(found, Histogram) and found.count == 1


@given(st.lists(st.tuples(st.integers(0, 9), st.booleans()), max_size=40))
def test_no_series_ever_falls_while_its_route_is_there(steps: list[tuple[int, bool]]) -> None:
    """Routes come in any order and are counted now and then: what was told apart once stays so, and the overflow only
    grows."""
    seen, series = gauges(), Series(3)
    assert seen.tallies is not None
    last: dict[Labels, int] = {}
    for number, news in steps:
        tally = seen.tallies.routes.setdefault(f"r{number}", RouteTally())
        outcome = Outcome.NEWS if news else Outcome.EMPTY
        tally.outcomes[outcome] = tally.outcomes.get(outcome, 0) + 1
        now = {labels: int(str(value)) for labels, value in points(series, seen, "longpoll.calls").items()}
        assert all(now.get(labels, -1) >= value for labels, value in last.items())
        last = now


def test_a_series_that_is_gone_makes_room() -> None:
    seen, series = gauges(), Series(2)
    assert seen.tallies is not None
    seen.tallies.routes["late"] = RouteTally()
    assert OVERFLOW in points(series, seen, "longpoll.evictions")
    seen.tallies.routes.clear()
    seen.tallies.routes.update(a=RouteTally(), b=RouteTally())
    assert set(points(series, seen, "longpoll.evictions")) == {(("route", "a"),), (("route", "b"),)}


def test_who_was_first_stays_where_the_order_changes() -> None:
    series = Series(2)
    first, later = ({("r", state): 1 for state in states} for states in (("a", "b"), ("c", "b", "a")))
    for held in (first, later):
        found = points(series, gauges(held=held), "longpoll.held")
        assert {dict(labels).get("state") for labels in found if labels != OVERFLOW} == {"a", "b"}


def test_a_reading_does_not_change_when_calls_go_on() -> None:
    seen = gauges()
    assert seen.tallies is not None
    work = seen.tallies.routes["r"] = RouteTally()
    work.work.record(1.0)
    read = points(Series(), seen, "longpoll.work.duration")[(("route", "r"),)]
    work.work.record(1.0)
    assert isinstance(read, Histogram) and (read.count, read.sum) == (1, 1.0)
