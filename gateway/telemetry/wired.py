"""Readings as lines of JSON, from a worker to its supervisor: exactly the numbers, so that what several have counted
can be added up. A line has a part of one metric, so short that nobody waits for it to be written or read.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Any

import orjson

from gateway.telemetry.histogram import Exemplar, Histogram
from gateway.telemetry.instruments import Instrument, Value
from gateway.telemetry.series import Found

SLICE = 100  # series in a line


def packed(metrics: Iterable[tuple[Instrument, Found]]) -> Iterator[bytes]:
    """The lines of all metrics, one after the other; a metric without a series has none."""
    for instrument, found in metrics:
        left = iter(found.items())
        while some := list(islice(left, SLICE)):
            points = [(labels, _plain(value)) for labels, value in some]
            yield orjson.dumps([instrument.name, points], option=orjson.OPT_APPEND_NEWLINE)


def unpack(line: bytes, known: Mapping[str, Instrument], found: dict[str, Found]) -> None:
    """Reads a line into what was found so far. A metric that is not known is of another version: it is left out."""
    name, points = orjson.loads(line)
    if (instrument := known.get(name)) is not None:
        found.setdefault(name, {}).update({tuple(labels): _value(instrument, told) for labels, told in points})


def _plain(value: Value) -> object:
    if not isinstance(value, Histogram):
        return value
    marks = [(place, *mark) for place, mark in (value.exemplars or {}).items()]
    return [value.sum, value.buckets, marks]


def _value(instrument: Instrument, told: Any) -> Value:
    if instrument.kind != "histogram":
        return told  # type: ignore[no-any-return]
    value = Histogram(instrument.bounds)
    value.sum, value.buckets, marks = told
    value.exemplars = {place: Exemplar(*mark) for place, *mark in marks} or None
    return value
