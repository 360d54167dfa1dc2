"""`/metrics`: the readings of one instant as text, in the format of Prometheus or as OpenMetrics, whichever the scraper
prefers. Written here because the library's writer takes 4 to 8 us a line, and a page has ten thousand.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, choose_encoder
from prometheus_client.openmetrics.exposition import CONTENT_TYPE_LATEST

from gateway.telemetry.histogram import Exemplar, Histogram
from gateway.telemetry.instruments import Gauges as Gauges
from gateway.telemetry.instruments import Instrument, Label, Value
from gateway.telemetry.series import Labels, Reading

SLICE = 100  # series written in one go: a histogram has a line for each bucket


def prefers_openmetrics(accept: str) -> bool:
    return choose_encoder(accept)[1].startswith("application/openmetrics-text")


def content_type(openmetrics: bool) -> str:
    return CONTENT_TYPE_LATEST if openmetrics else CONTENT_TYPE_PLAIN_0_0_4


def write(readings: Iterable[Reading], openmetrics: bool) -> Iterator[str]:
    """The page in pieces, each so short that the loop may be kept for it."""
    for instrument, points in readings:
        if points:
            yield _head(instrument, openmetrics)
        for first in range(0, len(points), SLICE):
            yield "".join([_series(instrument, *point, openmetrics) for point in points[first : first + SLICE]])
    if openmetrics:
        yield "# EOF\n"


def _head(instrument: Instrument, openmetrics: bool) -> str:
    family = instrument.family
    name = f"{family}_total" if instrument.kind == "counter" and not openmetrics else family
    unit = f"# UNIT {name} seconds\n" if openmetrics and name.endswith("_seconds") else ""
    return f"# HELP {name} {instrument.help}\n# TYPE {name} {instrument.kind}\n{unit}"


def _series(instrument: Instrument, labels: Labels, value: Value, openmetrics: bool) -> str:
    family, text = instrument.family, ",".join([_label(name, each) for name, each in labels])
    if isinstance(value, Histogram):
        return _histogram(family, text, value, openmetrics)
    suffix = "_total" if instrument.kind == "counter" else ""
    return f"{family}{suffix}{{{text}}} {value!r}\n" if text else f"{family}{suffix} {value!r}\n"


def _label(name: str, label: Label) -> str:
    value = "true" if label is True else str(label)
    if "\\" in value or '"' in value or "\n" in value:
        value = value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
    return f'{name.replace(".", "_")}="{value}"'


def _histogram(family: str, text: str, value: Histogram, openmetrics: bool) -> str:
    lines, count = [], 0
    before = f"{family}_bucket{{{text}{',' if text else ''}le="
    exemplars = value.exemplars if openmetrics and value.exemplars else {}
    for place, (bound, more) in enumerate(zip((*value.bounds, "+Inf"), value.buckets, strict=True)):
        count += more
        lines.append(f'{before}"{bound}"}} {count}{_exemplar(exemplars.get(place))}\n')
    braced = f"{{{text}}}" if text else ""
    lines.append(f"{family}_sum{braced} {value.sum!r}\n{family}_count{braced} {count}\n")
    return "".join(lines)


def _exemplar(found: Exemplar | None) -> str:
    if found is None:
        return ""
    return f' # {{trace_id="{found.trace}",span_id="{found.span}"}} {found.value!r} {found.wall:.3f}'
