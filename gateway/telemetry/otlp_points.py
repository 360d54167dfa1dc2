"""Readings as the data points of OpenTelemetry's SDK, whose exporters know how to write them. Pure: nothing is recorded
in the SDK, and nothing of it runs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from opentelemetry.sdk.metrics import export as sdk
from opentelemetry.sdk.metrics._internal.exemplar import Exemplar  # where the SDK has it: it names it nowhere else
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from gateway.telemetry.histogram import Exemplar as Held
from gateway.telemetry.histogram import Histogram
from gateway.telemetry.series import Labels, Reading

if TYPE_CHECKING:
    from opentelemetry.sdk.resources import Resource

    from gateway.telemetry.instruments import Value

SCOPE = InstrumentationScope("longpoll-gateway")


def metrics_data(readings: list[Reading], resource: Resource, started: int, now: int) -> sdk.MetricsData:
    """The readings as the SDK would have collected them. `started` and `now` are Unix nanoseconds."""
    metrics = [_metric(reading, started, now) for reading in readings if reading.points]
    scope = sdk.ScopeMetrics(SCOPE, metrics, "")
    return sdk.MetricsData([sdk.ResourceMetrics(resource, [scope], resource.schema_url)])


def _metric(reading: Reading, started: int, now: int) -> sdk.Metric:
    instrument, points = reading
    cumulative = sdk.AggregationTemporality.CUMULATIVE
    data: sdk.Histogram | sdk.Sum | sdk.Gauge
    if instrument.kind == "histogram":
        distributions = [_distribution(labels, value, started, now) for labels, value in points]
        data = sdk.Histogram(distributions, cumulative)
    else:
        numbers = [_number(labels, value, started, now) for labels, value in points]
        data = sdk.Sum(numbers, cumulative, True) if instrument.kind == "counter" else sdk.Gauge(numbers)
    return sdk.Metric(instrument.name, instrument.help, instrument.unit, data)


def _number(labels: Labels, value: Value, started: int, now: int) -> sdk.NumberDataPoint:
    assert not isinstance(value, Histogram)
    return sdk.NumberDataPoint(dict(labels), started, now, value)


def _distribution(labels: Labels, value: Value, started: int, now: int) -> sdk.HistogramDataPoint:
    assert isinstance(value, Histogram)
    unknown: float = None  # type: ignore[assignment]  # the protocol has them optional, the SDK's type forgets it
    exemplars = [_exemplar(each) for each in (value.exemplars or {}).values()]
    return sdk.HistogramDataPoint(
        dict(labels), started, now, value.count, value.sum, value.buckets, value.bounds, unknown, unknown, exemplars
    )


def _exemplar(found: Held) -> Exemplar:
    return Exemplar({}, found.value, int(found.wall * 1e9), int(found.span, 16), int(found.trace, 16))
