"""Records to a collector: OTLP over HTTP. The thread of the writer reads the lines again, makes log records of them and
sends them; the loop pays nothing but the queue. Imported only if asked for.

The messages are filled here, by the types of opentelemetry-proto: the SDK's way to them costs three times as much.
"""

from __future__ import annotations

import logging
import os
import time
import uuid
from datetime import datetime
from typing import TYPE_CHECKING, Any

import orjson
from opentelemetry.exporter.otlp.proto.http import _log_exporter
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord, SeverityNumber
from opentelemetry.sdk.resources import Resource

from gateway.config.references import read_secret
from gateway.telemetry.columns import KIND

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gateway.config.schema import Telemetry

SCOPE = "longpoll-gateway"
SEND = 512  # records in one request
SEVERITY = {
    "info": SeverityNumber.SEVERITY_NUMBER_INFO,
    "notice": SeverityNumber.SEVERITY_NUMBER_INFO2,
    "warning": SeverityNumber.SEVERITY_NUMBER_WARN,
    "error": SeverityNumber.SEVERITY_NUMBER_ERROR,
}


class Collector:
    """A sink. A request that the collector does not take within its time (`OTEL_EXPORTER_OTLP_TIMEOUT`, 10 s) is lost;
    what comes meanwhile waits in the queue of the writer, as far as it has room."""

    def __init__(self, settings: Telemetry) -> None:
        self._url = f"{settings.otlp}/v1/logs"
        own = {"service.name": settings.service_name, "service.instance.id": str(uuid.uuid4())}
        self._resource = Resource.create(own)  # with what OTEL_RESOURCE_ATTRIBUTES says
        self._exporter = _Exporter(
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
        try:
            return self._exporter.send(request(lines, self._resource, time.time_ns()))
        except Exception as error:  # whatever a collector is, the next batch is another try
            self._said.text = f"{type(error).__name__}: {error}"
            return False


class _Exporter(_log_exporter.OTLPLogExporter):
    """Its address, headers, time, TLS and tries again, for messages that are made already."""

    def send(self, message: ExportLogsServiceRequest) -> bool:
        return self._client.export(message.SerializeToString()).success


class _Said(logging.Handler):
    """What the exporter said last: the reason of a failure, told with the lines that were lost and not beside it."""

    text = "no answer"

    def emit(self, record: logging.LogRecord) -> None:
        self.text = record.getMessage()


def request(lines: Sequence[bytes], resource: Resource, now: int) -> ExportLogsServiceRequest:
    """`now` is Unix nanoseconds."""
    message = ExportLogsServiceRequest()
    sender = message.resource_logs.add()
    for name, value in resource.attributes.items():
        _put(sender.resource.attributes.add(key=name).value, value)
    scope = sender.scope_logs.add()
    scope.scope.name = SCOPE
    for line in lines:
        _fill(scope.log_records.add(observed_time_unix_nano=now), orjson.loads(line))
    return message


def _fill(made: LogRecord, record: dict[str, Any]) -> None:
    """It happened when the call ended: collectors want what they get in order."""
    starts, level = KIND in record, record.get("level", "info")
    began = datetime.fromisoformat(record["time"]).timestamp()
    made.time_unix_nano = round((began + record.get("took", 0.0)) * 1e6) * 1000
    made.severity_text, made.severity_number = level, SEVERITY[level]
    made.event_name = "longpoll.hold.start" if starts else "longpoll.call"
    made.body.string_value = _began(record) if starts else _ended(record)
    made.trace_id = _trace_id(record["trace"])
    for name, value in record.items():
        if value is not None:
            _put(made.attributes.add(key=name).value, value)


def _put(into: AnyValue, value: object) -> None:
    match value:
        case str():
            into.string_value = value
        case float():
            into.double_value = value
        case int():
            into.int_value = value
        case list():
            for each in value:
                _put(into.array_value.values.add(), each)
        case dict():
            for name, each in value.items():
                _put(into.kvlist_value.values.add(key=name).value, each)


def _ended(record: dict[str, Any]) -> str:
    status = record["status"] or "no status"
    return f"{record['method']} {record['path']}: {record['outcome']}, {status}, after {record['took']:.3f}s"


def _began(record: dict[str, Any]) -> str:
    return f"{record['path']}: held until {record['ends_at'] or 'somebody ends it'}"


def _trace_id(text: str) -> bytes:
    try:
        return bytes.fromhex(text) if len(text) == 32 else b""
    except ValueError:
        return b""
