"""Records to a collector: OTLP over HTTP. The thread of the writer reads the lines again, makes log records of them and
sends them; the loop pays nothing but the queue. Imported only if asked for.

The messages are filled here, by the types of opentelemetry-proto: the SDK's way to them costs three times as much.
"""

from __future__ import annotations

import os
import time
from datetime import datetime
from typing import TYPE_CHECKING, Any

import orjson
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord, SeverityNumber
from opentelemetry.sdk.resources import Resource

from gateway.telemetry.columns import KIND
from gateway.telemetry.otlp import TIMEOUT, Reasons, endpoint, headers

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

NAMES = {  # of the event, by `kind`; a record of a call has none
    "call": "longpoll.call",
    "start": "longpoll.hold.start",
    "eject": "longpoll.endpoint.eject",
    "probe": "longpoll.endpoint.probe",
    "restore": "longpoll.endpoint.restore",
}


class Collector:
    """A sink. A request that the collector does not take in time is lost; what comes meanwhile waits in the queue of
    the writer, as far as it has room."""

    def __init__(self, table: Telemetry, resource: Resource) -> None:
        self._where = endpoint(table, "logs")
        self._resource = resource
        self._exporter = _Exporter(self._where, headers=headers(table, os.environ), timeout=TIMEOUT)
        self._reasons = Reasons()

    def write(self, batch: bytes) -> tuple[int, str]:
        self._reasons.listen()
        lines = batch.rstrip(b"\n").split(b"\n")
        lost, reason = 0, ""
        for first in range(0, len(lines), SEND):
            some = lines[first : first + SEND]
            if failure := self._send(some):
                lost += len(some)
                reason = reason or f"{self._where}: {failure}"
        return lost, reason

    def tend(self) -> float | None:
        return None

    def close(self) -> None:
        self._exporter.shutdown()  # type: ignore[no-untyped-call]
        self._reasons.close()

    def _send(self, lines: Sequence[bytes]) -> str:
        """Why they were not taken; empty when they were."""
        try:
            sent = self._exporter.send(request(lines, self._resource, time.time_ns()))
        except Exception as error:  # whatever a collector is, the next batch is another try
            return f"{type(error).__name__}: {error}"
        reason = self._reasons.take()
        return "" if sent else reason or "it failed"


class _Exporter(OTLPLogExporter):
    """Its address, headers, time, TLS and tries again, for messages that are made already."""

    def send(self, message: ExportLogsServiceRequest) -> bool:
        return self._client.export(message.SerializeToString()).success


def request(lines: Sequence[bytes], resource: Resource, now: int) -> ExportLogsServiceRequest:
    """`now` is Unix nanoseconds."""
    message = ExportLogsServiceRequest()
    sender = message.resource_logs.add()
    for name, value in resource.attributes.items():
        _put(sender.resource.attributes.add(key=name).value, value)
    scope = sender.scope_logs.add()
    scope.scope.name = SCOPE
    for number, line in enumerate(lines):
        _fill(scope.log_records.add(observed_time_unix_nano=now), orjson.loads(line))
        if number % 16 == 0:
            time.sleep(0)  # the loop wants to run: Python would let it only after 5 ms
    return message


def _fill(made: LogRecord, record: dict[str, Any]) -> None:
    """It happened when the call ended: collectors want what they get in order."""
    kind, level = record.get(KIND, "call"), record.get("level", "info")
    began = datetime.fromisoformat(record["time"]).timestamp()
    made.time_unix_nano = round((began + record.get("took", 0.0)) * 1e6) * 1000
    made.severity_text, made.severity_number = level, SEVERITY[level]
    made.event_name = NAMES[kind]
    made.body.string_value = _SAID.get(kind, _happened)(record)
    if "trace" in record:
        made.trace_id, made.span_id = _bytes(record["trace"], 16), _bytes(record["id"][:14] + "00", 8)
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


def _happened(record: dict[str, Any]) -> str:
    left = f"{record['taking']} of {record['members']} take calls"
    return f"{record['upstream']}: {record['endpoint']}: {record[KIND]} ({record['why']}), {left}"


_SAID = {"call": _ended, "start": _began}


def _bytes(digits: str, size: int) -> bytes:
    try:
        return bytes.fromhex(digits) if len(digits) == 2 * size else b""
    except ValueError:
        return b""
