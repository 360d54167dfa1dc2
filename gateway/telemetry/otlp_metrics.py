"""Metrics to a collector: OTLP over HTTP, every minute and once at the end. The readings are taken on the loop and sent
by a thread; totals are cumulative, so a collector that was away has lost nothing. Imported only if asked for.
"""

from __future__ import annotations

import asyncio
import logging
import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from queue import SimpleQueue
from typing import TYPE_CHECKING

from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.sdk.metrics import export as sdk

from gateway.telemetry.otlp import TIMEOUT, Reasons, endpoint, headers
from gateway.telemetry.otlp_points import metrics_data
from gateway.telemetry.otlp_session import Session

if TYPE_CHECKING:
    from opentelemetry.sdk.resources import Resource

    from gateway.config import schema
    from gateway.telemetry.series import Reading

logger = logging.getLogger("gateway")

EVERY = 60.0  # seconds
INTERVAL = "OTEL_METRIC_EXPORT_INTERVAL"  # milliseconds, as OpenTelemetry has it


class Pusher:
    """Sends what `read` tells, until `finish()` and `close()`. A reading that is not yet sent when the next one is due
    is followed by it, not joined: at most one waits."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, table: schema.Telemetry, resource: Resource,
        read: Callable[[], Iterable[Reading]],
    ) -> None:  # fmt: skip
        self._loop = loop
        self._read = read
        self._started = time.time_ns()
        self._failing = False
        self._taking: asyncio.Handle | None = None
        self._every = interval(os.environ)
        self._resource = resource
        self._where = endpoint(table, "metrics")
        self._headers = headers(table, os.environ)
        self._reasons = Reasons()
        self._exporter = self._make()
        self._due: SimpleQueue[tuple[int, list[Reading]] | None] = SimpleQueue()
        self._background = threading.Thread(target=self._send_all, name="otlp-metrics", daemon=True)
        self._background.start()
        self._handle = loop.call_later(self._every, self._push)

    def _make(self) -> OTLPMetricExporter:
        return OTLPMetricExporter(self._where, headers=self._headers, timeout=TIMEOUT, session=Session())

    def _push(self) -> None:
        self._handle = self._loop.call_later(self._every, self._push)
        if self._due.empty() and self._taking is None:
            self._take(time.time_ns(), iter(self._read()), [])

    def _take(self, now: int, rest: Iterator[Reading], taken: list[Reading]) -> None:
        """One metric in a turn of the loop: where there are many series, nobody waits for all of them."""
        reading = next(rest, None)
        if reading is None:
            self._taking = None
            self._due.put((now, taken))
        else:
            taken.append(reading)
            self._taking = self._loop.call_soon(self._take, now, rest, taken)

    def finish(self) -> None:
        """Hands over the last reading. Called on the loop, at the end."""
        self._handle.cancel()
        if self._taking is not None:
            self._taking.cancel()
        self._exporter.shutdown()  # what it still tries again to send is older
        self._exporter = self._make()
        self._due.put((time.time_ns(), list(self._read())))
        self._due.put(None)

    def close(self, within: float) -> None:
        """Waits until the last reading is sent, but not longer than that."""
        self._background.join(within)
        self._exporter.shutdown()
        self._reasons.close()

    def _send_all(self) -> None:
        self._reasons.listen()
        while (due := self._due.get()) is not None:
            self._tell(self._send(*due))

    def _send(self, now: int, readings: list[Reading]) -> str:
        """Why the readings were not taken; empty when they were."""
        try:
            data = metrics_data(readings, self._resource, self._started, now)
            sent = self._exporter.export(data) is sdk.MetricExportResult.SUCCESS
        except Exception as error:  # whatever a collector is, the next minute is another try
            return type(error).__name__
        reason = self._reasons.take()
        return "" if sent else reason or "it failed"

    def _tell(self, failure: str) -> None:
        """Once when the collector takes nothing, and once when it does again."""
        if failure and not self._failing:
            logger.warning(
                "metrics: %s takes nothing; totals stay, and are sent when it does: %s", self._where, failure
            )
        elif self._failing and not failure:
            logger.warning("metrics: %s takes them again", self._where)
        self._failing = bool(failure)


def interval(environ: Mapping[str, str]) -> float:
    """Seconds between two exports."""
    text = environ.get(INTERVAL, "")
    if text.isdecimal() and int(text) > 0:
        return int(text) / 1000
    if text:
        logger.warning("%s is not a number of milliseconds; 60000 is used", INTERVAL)
    return EVERY
