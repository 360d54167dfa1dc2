"""The metrics of one instant, read from the table of instruments and bounded: a metric with too many label sets keeps
those it had first, and the rest become one series, as OpenTelemetry does it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from gateway.telemetry.histogram import Histogram, merged
from gateway.telemetry.instruments import INSTRUMENTS, Gauges, Instrument, Label, Value

MOST = 2000  # label sets of one metric
Labels = tuple[tuple[str, Label], ...]
Found = dict[tuple[Label, ...], Value]  # by the values of its labels; without any: all that is not told apart
OVERFLOW: Labels = (("otel.metric.overflow", True),)


class Reading(NamedTuple):
    """One metric now. Nothing in it changes any more."""

    instrument: Instrument
    points: list[tuple[Labels, Value]]


class Series:
    """Remembers which label sets were first, so that a series never moves into the overflow and back."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._known: dict[str, set[tuple[Label, ...]]] = {}

    def read(self, seen: Gauges) -> Iterator[Reading]:
        """One metric at a time: calls may be served in between."""
        return (named(each, self.bounded(each, dict(each.read(seen)))) for each in INSTRUMENTS)

    def bounded(self, instrument: Instrument, found: Found) -> Found:
        """What is told of one metric, and what is too much of it as one, without a label."""
        beyond = [found.pop(())] if instrument.labels and () in found else []
        known = self._known.get(instrument.name, set())
        if len(found) > self._most or not known.issuperset(found):
            known = {labels for labels in found if labels in known}  # what is no more makes room
            known.update([labels for labels in found if labels not in known][: self._most - len(known)])
            self._known[instrument.name] = known
        points = {labels: _still(value) for labels, value in found.items() if labels in known}
        rest = [*beyond, *(value for labels, value in found.items() if labels not in known)]
        return {**points, (): together(instrument, rest)} if rest else points


def named(instrument: Instrument, points: Found) -> Reading:
    """With the labels' names; a label that is empty is left out."""
    return Reading(instrument, [(_named(instrument, labels), value) for labels, value in points.items()])


def _named(instrument: Instrument, labels: tuple[Label, ...]) -> Labels:
    if instrument.labels and not labels:
        return OVERFLOW
    return tuple([pair for pair in zip(instrument.labels, labels, strict=True) if pair[1] != ""])


def _still(value: Value) -> Value:
    return value.copy() if isinstance(value, Histogram) else value


def together(instrument: Instrument, values: list[Value]) -> Value:
    """What several series come to in one."""
    if instrument.kind == "histogram":
        return merged(instrument.bounds, [value for value in values if isinstance(value, Histogram)])
    return sum(value for value in values if not isinstance(value, Histogram))
