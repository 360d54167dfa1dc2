"""Readings on their way from a worker to its supervisor: what arrives is what was read, in short lines."""

from __future__ import annotations

from gateway.telemetry.instruments import INSTRUMENTS
from gateway.telemetry.series import Found, Series, named
from gateway.telemetry.wired import SLICE, packed, unpack
from tests.kit.metrics import gauges

KNOWN = {each.name: each for each in INSTRUMENTS}


def arrived(lines: list[bytes]) -> dict[str, Found]:
    found: dict[str, Found] = {}
    for line in lines:
        unpack(line, KNOWN, found)
    return found


def test_what_arrives_is_what_was_read() -> None:
    series = Series()
    read = {each.name: series.bounded(each, dict(each.read(gauges()))) for each in INSTRUMENTS}
    found = arrived(list(packed((each, read[each.name]) for each in INSTRUMENTS)))
    for each in INSTRUMENTS:
        ours, theirs = named(each, read[each.name]).points, named(each, found[each.name]).points
        assert [labels for labels, _ in ours] == [labels for labels, _ in theirs]
        assert [plain(value) for _, value in ours] == [plain(value) for _, value in theirs]


def plain(value: object) -> object:
    parts = ("bounds", "buckets", "sum", "exemplars")
    return [getattr(value, part) for part in parts] if hasattr(value, "buckets") else value


def test_what_is_too_much_to_be_told_apart_stays_one() -> None:
    instrument = KNOWN["longpoll.evictions"]
    seen = Series(most=1).bounded(instrument, {("a",): 1, ("b",): 2, ("c",): 3})
    assert seen == {("a",): 1, (): 5}
    assert arrived(list(packed([(instrument, seen)]))) == {instrument.name: seen}


def test_a_line_is_short_however_many_series_there_are() -> None:
    instrument = KNOWN["longpoll.evictions"]
    many: Found = {(f"r{number}",): number for number in range(5 * SLICE)}
    lines = list(packed([(instrument, many)]))
    assert len(lines) == 5 and arrived(lines) == {instrument.name: many}


def test_a_metric_of_another_version_is_left_out() -> None:
    assert arrived([b'["longpoll.of.tomorrow",[[["a"],1]]]\n']) == {}
