"""Readings of several workers as those of one gateway: the table of metrics says what their numbers come to (`merge`),
and what is counted adds up exactly. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import TypeAlias

from gateway.telemetry.histogram import Histogram, merged
from gateway.telemetry.instruments import INSTRUMENTS, Instrument, Value
from gateway.telemetry.series import Found

MOST = 10_000  # series of a metric that are remembered of processes which have ended
SLICE = 200  # series added up in one go: about a millisecond

Readings: TypeAlias = Mapping[str, Found]  # by the name of the metric


def remains(readings: Readings) -> Readings:
    """Of a process that has ended: what it counted."""
    return {each.name: readings[each.name] for each in INSTRUMENTS if each.kind != "gauge" and each.name in readings}


def after(past: Readings, now: Readings) -> Readings:
    """Of one worker, of processes that came one after the other: counts go on, whatever they come to beside others."""
    return {each.name: _later(each, past.get(each.name, {}), now.get(each.name, {})) for each in INSTRUMENTS}


def _later(instrument: Instrument, past: Found, now: Found) -> Found:
    found = dict(past)
    for labels, value in now.items():
        place = labels if labels in found or len(found) < MOST else ()
        found[place] = _sum(instrument, [found[place], value] if place in found else [value])
    return found


def together(instrument: Instrument, workers: Sequence[Readings]) -> Iterator[Found]:
    """One metric of all workers, a few of its series at a time."""
    every: dict[tuple[str | int, ...], list[Value]] = {}
    for readings in workers:
        for labels, value in readings.get(instrument.name, {}).items():
            every.setdefault(labels, []).append(value)
    left = iter(every.items())
    while some := list(islice(left, SLICE)):
        yield {labels: _one(instrument, values) for labels, values in some}


def _one(instrument: Instrument, values: list[Value]) -> Value:
    if instrument.merge == "sum":
        return _sum(instrument, values)
    numbers = [value for value in values if not isinstance(value, Histogram)]
    return max(numbers) if instrument.merge == "max" else min(numbers)


def _sum(instrument: Instrument, values: Iterable[Value]) -> Value:
    if instrument.kind == "histogram":
        return merged(instrument.bounds, [value for value in values if isinstance(value, Histogram)])
    return sum(value for value in values if not isinstance(value, Histogram))
