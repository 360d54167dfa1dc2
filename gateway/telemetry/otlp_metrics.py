"""Metrics to a collector: OTLP over HTTP, every minute and once at the end. The readings are taken on the loop and sent
by a thread; totals are cumulative, so a collector that was away has lost nothing. Imported only if asked for.
"""

from __future__ import annotations

import asyncio
import logging
import os
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from queue import SimpleQueue
from typing import TYPE_CHECKING

from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.sdk.metrics import export as sdk
from opentelemetry.sdk.metrics._internal.exemplar import Exemplar  # where the SDK has it: it names it nowhere else
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from gateway.config.references import read_secret
from gateway.telemetry.histogram import Exemplar as Held
from gateway.telemetry.histogram import Histogram
from gateway.telemetry.series import Labels, Reading

if TYPE_CHECKING:
    from gateway.config.schema.telemetry import Telemetry as Settings
    from gateway.telemetry.instruments import Value

logger = logging.getLogger("gateway")

EVERY = 60.0  # seconds
INTERVAL = "OTEL_METRIC_EXPORT_INTERVAL"  # milliseconds, as OpenTelemetry has it
SCOPE = InstrumentationScope("longpoll-gateway")


class Pusher:
    """Sends what `read` tells, until `finish()` and `wait()`. A reading that is not yet sent when the next one is due
    is followed by it, not joined: at most one waits."""

    def __init__(self, loop: asyncio.AbstractEventLoop, settings: Settings, read: Callable[[], list[Reading]]) -> None:
        self._loop = loop
        self._read = read
        self._started = time.time_ns()
        self._failing = False
        self._every = interval(os.environ)
        self._resource = Resource.create(
            {"service.name": settings.service_name, "service.instance.id": str(uuid.uuid4())}
        )
        self._headers = {name: read_secret(value, os.environ) for name, value in settings.headers.items()}
        self._endpoint = f"{settings.otlp}/v1/metrics"
        self._exporter = self._make()
        self._due: SimpleQueue[tuple[int, list[Reading]] | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._send_all, name="otlp-metrics", daemon=True)
        self._thread.start()
        self._handle = loop.call_later(self._every, self._push)

    def _make(self) -> OTLPMetricExporter:
        return OTLPMetricExporter(endpoint=self._endpoint, headers=self._headers)

    def _push(self) -> None:
        self._handle = self._loop.call_later(self._every, self._push)
        if self._due.empty():
            self._due.put((time.time_ns(), self._read()))

    def finish(self) -> None:
        """Hands over the last reading. Called on the loop, at the end."""
        self._handle.cancel()
        self._exporter.shutdown()  # what it still tries again to send is older
        self._exporter = self._make()
        self._due.put((time.time_ns(), self._read()))
        self._due.put(None)

    def wait(self, seconds: float) -> None:
        """Until the last reading is sent, but not longer than that."""
        self._thread.join(max(seconds, 0.0))

    def _send_all(self) -> None:
        while (due := self._due.get()) is not None:
            self._tell(self._send(*due))

    def _send(self, now: int, readings: list[Reading]) -> str:
        """Why the readings were not taken; empty when they were."""
        data = metrics_data(readings, self._resource, self._started, now)
        try:
            sent = self._exporter.export(data) is sdk.MetricExportResult.SUCCESS
        except Exception as error:  # whatever a collector is, the next minute is another try
            return type(error).__name__
        return "" if sent else "see above"

    def _tell(self, failure: str) -> None:
        """Once when the collector takes nothing, and once when it does again."""
        if failure and not self._failing:
            logger.warning(
                "metrics: %s takes nothing; totals stay, and are sent when it does: %s", self._endpoint, failure
            )
        elif self._failing and not failure:
            logger.warning("metrics: %s takes them again", self._endpoint)
        self._failing = bool(failure)


def interval(environ: Mapping[str, str]) -> float:
    """Seconds between two exports."""
    text = environ.get(INTERVAL, "")
    if text.isdecimal() and int(text) > 0:
        return int(text) / 1000
    if text:
        logger.warning("%s is not a number of milliseconds; 60000 is used", INTERVAL)
    return EVERY


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
