"""Records to a collector: OTLP over HTTP. The thread of the writer reads the lines again, makes log records of them and
sends them; the loop pays nothing but the queue. Imported only if asked for.
"""

from __future__ import annotations

import logging
import os
import time
import uuid
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

import orjson
from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.exporter.otlp.proto.http import _log_exporter
from opentelemetry.sdk._logs import ReadableLogRecord
from opentelemetry.sdk._logs.export import LogRecordExportResult
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from gateway.config.references import read_secret
from gateway.telemetry.columns import KIND

if TYPE_CHECKING:
    from gateway.config.schema import Telemetry

SCOPE = InstrumentationScope("longpoll-gateway")
SEND = 512  # records in one request
SEVERITY = {
    "info": SeverityNumber.INFO,
    "notice": SeverityNumber.INFO2,
    "warning": SeverityNumber.WARN,
    "error": SeverityNumber.ERROR,
}


class Collector:
    """A sink. A request that the collector does not take within its time (`OTEL_EXPORTER_OTLP_TIMEOUT`, 10 s) is lost;
    what comes meanwhile waits in the queue of the writer, as far as it has room."""

    def __init__(self, settings: Telemetry) -> None:
        self._url = f"{settings.otlp}/v1/logs"
        self._resource = Resource.create(
            {"service.name": settings.service_name, "service.instance.id": str(uuid.uuid4())}
        )
        self._exporter = _log_exporter.OTLPLogExporter(
            endpoint=self._url,
            headers={name: read_secret(value, os.environ) for name, value in settings.headers.items()},
        )
        self._said = _Said()
        _log_exporter._logger.addHandler(self._said)
        _log_exporter._logger.propagate = False

    def write(self, batch: bytes) -> tuple[int, str]:
        lines = batch.rstrip(b"\n").split(b"\n")
        lost = 0
        for first in range(0, len(lines), SEND):
            some = lines[first : first + SEND]
            if not self._send(some):
                lost += len(some)
        return lost, f"{self._url}: {self._said.text}" if lost else ""

    def tend(self) -> float | None:
        return None

    def close(self) -> None:
        self._exporter.shutdown()  # type: ignore[no-untyped-call]
        _log_exporter._logger.removeHandler(self._said)

    def _send(self, lines: Sequence[bytes]) -> bool:
        now = time.time_ns()
        records = [ReadableLogRecord(log_record(orjson.loads(line), now), self._resource, SCOPE) for line in lines]
        try:
            return self._exporter.export(records) is LogRecordExportResult.SUCCESS
        except Exception as error:  # whatever a collector is, the next batch is another try
            self._said.text = f"{type(error).__name__}: {error}"
            return False


class _Said(logging.Handler):
    """What the exporter said last: the reason of a failure, told with the lines that were lost and not beside it."""

    text = "no answer"

    def emit(self, record: logging.LogRecord) -> None:
        self.text = record.getMessage()


def log_record(record: dict[str, Any], now: int) -> LogRecord:
    """`now` is Unix nanoseconds. It happened when the call ended: collectors want what they get in order."""
    began = datetime.fromisoformat(record["time"]).timestamp()
    starts = KIND in record
    made = LogRecord(
        timestamp=round((began + record.get("took", 0.0)) * 1e6) * 1000,
        observed_timestamp=now,
        severity_text=record.get("level", "info"),
        severity_number=SEVERITY[record.get("level", "info")],
        body=_began(record) if starts else _ended(record),
        attributes={name: value for name, value in record.items() if value is not None},
        event_name="longpoll.hold.start" if starts else "longpoll.call",
    )
    made.trace_id = _trace_id(record["trace"])
    return made


def _ended(record: dict[str, Any]) -> str:
    status = record["status"] or "no status"
    return f"{record['method']} {record['path']}: {record['outcome']}, {status}, after {record['took']:.3f}s"


def _began(record: dict[str, Any]) -> str:
    return f"{record['path']}: held until {record['ends_at'] or 'somebody ends it'}"


def _trace_id(text: str) -> int:
    try:
        return int(text, 16) if len(text) == 32 else 0
    except ValueError:
        return 0
