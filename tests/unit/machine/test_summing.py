"""Readings of several workers come to those of one gateway that served all their calls, and never go back when a worker
dies.
"""

from __future__ import annotations

from typing import Any, cast

from hypothesis import given
from hypothesis import strategies as st

from gateway.machine.admin.ledger import Ledger
from gateway.machine.admin.summing import MOST, Readings, after, remains, together
from gateway.outcome import Outcome
from gateway.telemetry.histogram import HOLD, Exemplar, Histogram
from gateway.telemetry.instruments import INSTRUMENTS, Gauges, Value, Watched
from gateway.telemetry.lag import Lag
from gateway.telemetry.series import Found, Series
from gateway.telemetry.tallies import RouteTally, Tallies

BY_NAME = {each.name: each for each in INSTRUMENTS}
ENDING = st.tuples(
    st.sampled_from("abc"), st.sampled_from([Outcome.NEWS, Outcome.BLANK]), st.sampled_from([0.25, 30.0, 512.0])
)
ENDINGS = st.lists(ENDING, max_size=12)


def served(endings: list[tuple[str, Outcome, float]], **values: Any) -> Gauges:
    """A process in which these polls ended."""
    tallies = Tallies(Lag(cast(Any, None)))
    for route, outcome, held in endings:
        tally = tallies.routes.setdefault(route, RouteTally())
        tally.outcomes[outcome] = tally.outcomes.get(outcome, 0) + 1
        tally.holds.setdefault(outcome, Histogram(HOLD)).record(held)
    held = {("a", "parked"): len(endings)}
    counted = {"held": held, "connections": len(endings), "log_lines_dropped": len(endings), "draining": False}
    return Gauges(**cast(Any, {**counted, "tallies": tallies, **values}))


def read(seen: Gauges) -> Readings:
    series = Series()
    return {each.name: series.bounded(each, dict(each.read(seen))) for each in INSTRUMENTS}


def summed(name: str, *workers: Readings) -> Found:
    return {labels: value for some in together(BY_NAME[name], workers) for labels, value in some.items()}


def plain(found: Found) -> dict[Any, Any]:
    return {labels: number(value) for labels, value in found.items()}


def number(value: Value) -> Any:
    return (value.buckets, value.sum) if isinstance(value, Histogram) else value


@given(st.lists(ENDINGS, min_size=1, max_size=4))
def test_parts_come_to_the_whole(workers: list[list[tuple[str, Outcome, float]]]) -> None:
    whole = read(served([ending for endings in workers for ending in endings]))
    parts = [read(served(endings)) for endings in workers]
    for each in INSTRUMENTS:
        assert plain(summed(each.name, *parts)) == plain(whole[each.name]), each.name


def test_what_is_no_amount_is_told_of_the_worker_that_is_worst_off() -> None:
    fine = read(served([], draining=False, last_reload_ok=True, reloads=3, circuits={"up": (False, 1)},
                       endpoints={("up", "a"): Watched(True, {}, {})}))  # fmt: skip
    ill = read(served([], draining=True, last_reload_ok=False, reloads=3, circuits={"up": (True, 2)},
                      endpoints={("up", "a"): Watched(False, {}, {})}))  # fmt: skip
    assert summed("longpoll.draining", fine, ill) == {(): 1}
    assert summed("longpoll.last_reload_success", fine, ill) == {(): 0}
    assert summed("longpoll.circuit.open", fine, ill) == {("up",): 1}
    assert summed("longpoll.circuit.opened", fine, ill) == {("up",): 3}
    assert summed("longpoll.endpoint.taking", fine, ill) == {("up", "a"): 0}
    assert summed("longpoll.reloads", fine, ill) == {("ok",): 3, ("failed",): 0}, "all took part in each"


def test_the_last_trace_of_a_bucket_is_its_example_whoever_had_it() -> None:
    early, late = (Exemplar("a" * 32, "b" * 16, 0.2, wall) for wall in (1.0, 2.0))
    parts = []
    for mark in (late, early):
        histogram = Histogram(HOLD)
        histogram.exemplars = {1: mark}
        parts.append({"longpoll.hold.duration": {("a", "news"): cast(Value, histogram)}})
    for some in (parts, parts[::-1]):
        found = summed("longpoll.hold.duration", *some)["a", "news"]
        assert isinstance(found, Histogram) and found.exemplars == {1: late}


def test_series_are_added_up_a_few_at_a_time() -> None:
    many = {"longpoll.evictions": {(f"r{at}",): cast(Value, at) for at in range(1000)}}
    slices = list(together(BY_NAME["longpoll.evictions"], [many, many]))
    assert len(slices) >= 5
    assert summed("longpoll.evictions", many, many) == {(f"r{at}",): 2 * at for at in range(1000)}


LIFE = st.tuples(st.integers(0, 2), st.booleans(), ENDINGS)


@given(st.lists(LIFE, max_size=12))
def test_no_total_ever_goes_back_whoever_dies(steps: list[tuple[int, bool, list[tuple[str, Outcome, float]]]]) -> None:
    """Each step: a worker serves some calls, dies before that or does not; and then all are asked."""
    ledger: Ledger[Readings] = Ledger(remains, after)
    lives, endings = dict.fromkeys(range(3), 0), dict[int, list[tuple[str, Outcome, float]]]({0: [], 1: [], 2: []})
    every: list[tuple[str, Outcome, float]] = []
    for worker, dies, more in steps:
        if dies:
            lives[worker], endings[worker] = lives[worker] + 1, []
        endings[worker] = endings[worker] + more
        every += more
        ledger.tell(worker, f"{worker}.{lives[worker]}", worker, read(served(endings[worker])))
        alive = [read(served(some)) for some in endings.values()]
        parts = list(ledger.parts({0, 1, 2}))
        whole = read(served(every))
        for name in ("longpoll.calls", "longpoll.hold.duration", "longpoll.log.lines.dropped"):
            assert plain(summed(name, *parts)) == plain(whole[name]), name
        assert summed("longpoll.connections", *parts) == summed("longpoll.connections", *alive), "of those that live"


def test_of_a_process_that_has_ended_only_what_it_counted_is_left() -> None:
    ledger: Ledger[Readings] = Ledger(remains, after)
    ledger.tell(0, "x", 10, read(served([("a", Outcome.NEWS, 0.25)], reloads=2)))
    (left,) = ledger.parts(set())
    assert summed("longpoll.connections", left) == {} and summed("longpoll.held", left) == {}
    assert summed("longpoll.calls", left) == {("a", "true", "news"): 1}
    ledger.tell(0, "y", 11, read(served([], reloads=1)))
    (both,) = ledger.parts({11})
    assert summed("longpoll.reloads", both)[("ok",)] == 3, "of the same worker, one after the other"
    assert summed("longpoll.connections", both) == {(): 0}


def test_what_dead_processes_counted_is_bounded() -> None:
    past: Readings = {}
    for life in range(5):
        labelled: Found = {(f"c{life}-{at}", "news"): 1 for at in range(3000)}
        past = after(past, {"longpoll.consumer.calls": labelled})
    assert len(past["longpoll.consumer.calls"]) == MOST + 1
    assert sum(cast(dict[Any, int], past["longpoll.consumer.calls"]).values()) == 15_000
